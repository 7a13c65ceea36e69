"""Writes a copy of a source of the reference engine that checks its own contracts, with the translation of acsl.py."""

import re

from acsl import BLOCK, Parser, Untranslated, Writer, parse, write_model

FUNCTION = re.compile(
    r"^(?P<head>[a-z_][\w *]*?[ *])(?P<name>\w+)\((?P<formals>[^;{]*)\)\n\{\n(?P<body>.*?)^\}", re.M | re.S)
CLAUSE = re.compile(
    r"^\s*(?P<kind>requires|ensures|assigns|terminates|loop invariant|loop assigns|loop variant)\b", re.M)
NAMED = re.compile(r"\s*(?P<name>[A-Za-z_]\w*)\s*:(?:\s*[A-Z][A-Z0-9]+_\d\d\s*:)*(?P<text>.*)", re.S)
ANNOTATION = re.compile(
    r"(?P<line>//@(?P<one>[^\n]*))|(?P<block>/\*@(?P<many>.*?)\*/)|(?P<comment>/\*.*?\*/|//[^\n]*)", re.S)


class Clause:
    """One sentence of a contract, or one annotation of a body."""

    def __init__(self, function, kind, text, place, number):
        match = NAMED.match(text)
        self.name = match.group("name") if match else str(number)
        self.text = " ".join((match.group("text") if match else text).split()).rstrip(";").rstrip()
        self.function, self.kind, self.place = function, kind, place

    def key(self):
        return f"{self.function} {self.kind} {self.name}"


def clauses_of(function, text, line):
    """The clauses of an annotation that begins at a line."""
    text = re.sub(r"//[^\n]*", "", text)
    starts = list(CLAUSE.finditer(text))
    numbers = {}
    for match, end in zip(starts, [*(m.start() for m in starts[1:]), len(text)]):
        kind = match.group("kind")
        numbers[kind] = numbers.get(kind, 0) + 1
        where = line + text.count("\n", 0, match.start("kind"))
        yield Clause(function, kind, text[match.end() : end], where, numbers[kind])


def line_of(text, place):
    return text.count("\n", 0, place) + 1


def contracts_of(source, headers, name, start):
    """(file, clauses) of each annotation before a definition in its source, or before its declaration in a header."""
    for block in BLOCK.finditer(source.text, 0, start):
        if not source.text[block.end() : start].strip():
            yield source.file, clauses_of(name, block.group(1), line_of(source.text, block.start()))
    for header in headers:
        for block in BLOCK.finditer(header.text):
            if re.match(r"\n[\w *]*\b" + name + r"\(", header.text[block.end() :]):
                yield header.file, clauses_of(name, block.group(1), line_of(header.text, block.start()))


class Text:
    """A file, by the name that reports give it."""

    def __init__(self, file, text):
        self.file, self.text = file, text


class Instrument:
    """The work on one source.

    `rules` are the exceptions: key of a clause -> a reason to leave it out, or bounds of a quantifier.
    """

    def __init__(self, source, headers, model, rules):
        self.source, self.headers, self.model, self.rules = source, headers, model, rules
        self.table, self.left_out, self.labels = [], [], 0

    def rule(self, clause):
        for key in (clause.key(), f"* {clause.kind}"):
            if key in self.rules:
                return self.rules[key]
        return None

    def check(self, clause, file, states):
        """C that checks a clause, or nothing."""
        rule = self.rule(clause)
        try:
            if isinstance(rule, str):
                raise Untranslated(rule)
            writer = Writer(self.model, states, rule)
            if clause.kind == "assigns":
                text = self.places(clause, writer)
            else:
                text = writer.covering(parse(clause.text), "0")
        except Untranslated as reason:
            self.left_out.append((clause, file, str(reason)))
            return ""
        number = len(self.table)
        self.table.append((clause, file))
        if clause.kind == "assigns":
            return text.replace("RTC_NUMBER", str(number))
        shows = "".join(f'RTC_SHOW("{name}", {name}); ' for name in self.names(clause))
        return f"RTC_CLAUSE({number}, {text}, {shows}) "

    def names(self, clause):
        """The variables of C that a clause mentions."""
        bound = set(re.findall(r"\\(?:forall|exists)\s+\w+\s+([\w, ]+);", clause.text))
        bound = {name.strip() for names in bound for name in names.split(",")}
        words = re.findall(r"(?<![\w>.\\])[a-z_]\w*(?!\w*\s*[({])", re.sub(r"\{[^}]*\}", "", clause.text))
        return [name for name in dict.fromkeys(words) if name not in bound and name in self.visible] + (
            ["rtc_result"] if "\\result" in clause.text else [])

    def places(self, clause, writer):
        """C that keeps the regions that an `assigns` names, to be compared with after the body has run."""
        regions = []
        if clause.text != "\\nothing":
            parser = Parser(clause.text)
            trees = [parser.expression()]
            while parser.accept(","):
                trees.append(parser.expression())
            regions = [writer.region(tree, "0", False) for tree in trees]
        return f"RTC_ASSIGNS(RTC_NUMBER, {', '.join(['RTC_NOWHERE', *regions])})"

    # Bodies

    def loop(self, body, end, clauses, start):
        """What stands before a loop and its head with the checks in the condition; and where the head ends."""
        match = re.compile(r"\s*(for|while) \(").match(body, end)
        if not match:
            where = repr(body[end : end + 60])
            raise SystemExit(f"instrument: {self.source.file}: a loop annotation without a loop in {where}")
        depth, place = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(body[place], 0)
            place += 1
        head = body[match.end() : place - 1]
        parts = head.split(";") if match.group(1) == "for" else [head]
        self.labels += 1
        entry, last, site = f"rtc_entry_{self.labels}", f"rtc_last_{self.labels}", f"rtc_loop_{self.labels}"
        states = {**self.states, "LoopEntry": entry}
        checks = "".join(self.check(c, self.source.file, states) for c in clauses if c.kind == "loop invariant")
        for clause in (c for c in clauses if c.kind == "loop variant"):
            variant = Writer(self.model, states).value(parse(clause.text), "0")
            number = len(self.table)
            self.table.append((clause, self.source.file))
            checks += f"RTC_VARIANT({number}, {last}, {variant}) "
        for clause in (c for c in clauses if c.kind == "loop assigns"):
            self.left_out.append((clause, self.source.file, self.rules.get("* loop assigns", "no reason given")))
        middle = 1 if match.group(1) == "for" else 0
        parts[middle] = f" ({{ if (rtc_due(rtc_here, &{site})) {{ {checks}}} }}), ({parts[middle].strip()})"
        keep = ""
        if any("LoopEntry" in clause.text for clause in clauses):
            keep = f"const struct rtc_state *{entry} = rtc_label(rtc_here); "
        before = f"static struct rtc_site {site}; rtc_integer {last} = RTC_NONE; {keep}"
        return before + body[end : match.end()] + ";".join(parts) + ")", place

    def annotated(self, body, start):
        """A body in which annotations have become checks. `start` is the place of the body in the source."""
        pieces, place = [], 0
        while True:
            match = ANNOTATION.search(body, place)
            if not match:
                return "".join(pieces) + body[place:]
            pieces.append(body[place : match.start()])
            place = match.end()
            text = match.group("one") or match.group("many") or ""
            line = line_of(self.source.text, start + match.start())
            if text.strip().startswith("assert"):
                self.asserts += 1
                clause = Clause(self.name, "assert", text.strip()[len("assert") :], line, self.asserts)
                pieces.append(f"if (rtc_here->active) {{ {self.check(clause, self.source.file, self.states)}}}")
            elif text.strip().startswith("loop"):
                head, place = self.loop(body, place, list(clauses_of(self.name, text, line)), start)
                pieces.append(head)
            elif re.match(r"\s*ghost\s+[A-Z]\w*\s*:\s*;", text):
                label = text.split()[1].rstrip(":;")
                self.states[label] = f"rtc_at_{label}"
                pieces.append(f"const struct rtc_state *rtc_at_{label} = rtc_label(rtc_here);")

    # Functions

    def function(self, match):
        head, self.name, formals = match.group("head"), match.group("name"), match.group("formals")
        kind = head.replace("static ", "").strip()
        public = "static " not in head
        parameters = [] if formals.strip() == "void" else formals.split(",")
        names = [re.search(r"(\w+)\s*$", formal).group(1) for formal in parameters]
        self.visible = set(names)
        self.visible |= set(re.findall(r"^\s+(?:u?int\w*|unsigned|enum \w+) (\w+)", match.group("body"), re.M))
        self.visible |= set(re.findall(r"for \(\w+ (\w+) =", match.group("body")))
        self.asserts = 0
        before, after, places = "", "", ""
        self.states = {"Here": "0", "Pre": "rtc_frame.copy", "Old": "rtc_frame.copy", "Post": "0"}
        locals_of_body, self.visible = self.visible, set(names)
        for file, clauses in contracts_of(self.source, self.headers, self.name, match.start()):
            for clause in clauses:
                if clause.kind == "requires":
                    before += "        " + self.check(clause, file, {"Here": "0", "Pre": "0", "Old": "0"}) + "\n"
                elif clause.kind == "ensures":
                    after += "        " + self.check(clause, file, self.states) + "\n"
                elif clause.kind == "assigns":
                    places = "        " + self.check(clause, file, {"Here": "0", "Pre": "0"}) + "\n"
                else:
                    self.left_out.append((clause, file, self.rules.get(f"* {clause.kind}", "no reason given")))
        self.visible = locals_of_body
        self.states = {"Here": "0", "Pre": "rtc_here->copy"}
        body = self.annotated(match.group("body"), match.start("body"))
        constant = ", ".join(re.sub(r"(\w+)\s*$", r"const \1", formal) for formal in parameters) if names else formals
        result = "" if kind == "void" else f"    {kind} rtc_result;\n"
        run = f"{'' if kind == 'void' else 'rtc_result = '}{self.name}_body({', '.join(names)});"
        give = "" if kind == "void" else "    return rtc_result;\n"
        return (f"static {kind} {self.name}_body({constant})\n{{\n"
                f"    struct rtc_frame *const rtc_here = rtc_top;\n{body}}}\n\n"
                f"{head}{self.name}({formals})\n{{\n"
                f"    static struct rtc_site rtc_site;\n"
                f"    struct rtc_frame rtc_frame;\n{result}"
                f"    if (rtc_enter(&rtc_frame, &rtc_site, {int(public)})) {{\n{before}"
                f"        rtc_keep(&rtc_frame);\n    }}\n"
                f"    if (rtc_frame.active) {{\n{places or '        {'}\n"
                f"        {run}\n{after}        RTC_COMPARE(&rtc_frame)\n"
                f"        }}\n    }} else {{\n        {run}\n    }}\n"
                f"    rtc_leave(&rtc_frame);\n{give}}}")

    def written(self):
        """The whole file."""
        body = FUNCTION.sub(self.function, self.source.text)
        model, refused = write_model(self.model)
        for (name, _), reason in refused.items():
            raise SystemExit(f"instrument: {name} cannot be run: {reason}")
        rows = "".join(self.row(clause, file) for clause, file in self.table)
        prelude = (f'#include "addcow_ref.h"\n#include "runtime.h"\n'
                   f"static struct rtc_clause rtc_clauses[{len(self.table)}];\n{model}\n")
        table = (f"\nstatic struct rtc_clause rtc_clauses[] = {{\n{rows}}};\n\n"
                 f"__attribute__((constructor)) static void rtc_announce(void)\n{{\n"
                 f"    rtc_register(rtc_clauses, sizeof rtc_clauses / sizeof *rtc_clauses);\n}}\n")
        includes = re.search(r'^(?:#include "addcow_\w+\.h"\n)+', body, re.M).end()
        return body[:includes] + prelude + body[includes:] + table

    @staticmethod
    def row(clause, file):
        """The entry of a clause in the table that the copy carries."""
        words = (clause.function, f"{clause.kind} {clause.name}", clause.text, f"{file}:{clause.place}")
        return f"    {{{', '.join(map(quoted, words))}, 0, 0}},\n"


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
