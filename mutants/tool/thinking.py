"""Mutations that a person would make: more than one token, and often right in the usual case.

The rules of operators.py change one operator, constant or statement. These change what takes some thought: the order of
two statements, a loop that ends after the third round, a variable for another of its type, a number cut to 32 bits, a
condition that is wrong for rare values only. Like those, they work on tokens, and leave the rest to the compiler.
"""

import re

import operators

# Named numbers that decide where things lie or how much is done at once.
NAMED = re.compile(r"[A-Z][A-Z0-9_]*_(?:BYTES|MAX|SIZE|BITS|LEAST|WORDS|SECTOR|OFFSET|CLUSTERS)")
DECLARED = re.compile(r"\b(?:const )?((?:struct |enum )?[a-z_]\w*(?: \*|\b))\s*(?<=[ *])([a-z_]\w*)(?= = |;|, |\)|$)")
WIDE = "uint64_t"
BLOCK = ("first", "last", "position", "cluster", "index", "start", "count")


class Thinking:
    """The rules, for one function (operators.Function) of a file."""

    def __init__(self, function, parameters, file_text):
        self.function, self.tokens = function, function.tokens
        self.named = re.findall(NAMED, file_text)
        self.variables = self.find_variables(parameters)

    def find_variables(self, parameters):
        """The names of each type, with the token behind which each may be used."""
        found = {}
        for kind, name in DECLARED.findall(" ".join(parameters.split())):
            found.setdefault(kind.strip(), []).append((name, -1))
        body = self.function.text_of_body() if self.tokens else ""
        for match in DECLARED.finditer(body):
            if match.group(1).strip() in ("return", "else", "goto"):
                continue
            at = next((i for i, token in enumerate(self.tokens)
                       if token.start - self.tokens[0].start >= match.end(2)), len(self.tokens))
            found.setdefault(match.group(1).strip(), []).append((match.group(2), at))
        return found

    def wide(self, i):
        """The 64-bit numbers that may be used at token i."""
        return [name for name, at in self.variables.get(WIDE, []) if at < i]

    def is_simple(self, i):
        """Whether a statement that is no declaration and no jump begins at token i."""
        token = self.tokens[i]
        fits = token.kind == "name" and token.text not in operators.KEYWORDS and token.text not in operators.INERT
        return (fits and i not in self.function.wording and self.function.begins_statement(i)
                and not self.function.is_declaration(i))

    def simple_statements(self):
        for i, _ in enumerate(self.tokens):
            if self.is_simple(i):
                end = self.function.statement_end(i)
                if end is not None:
                    yield i, end

    # ---- The rules ----

    def swapped(self):
        """Two statements, the second before the first."""
        for i, end in self.simple_statements():
            if end + 1 < len(self.tokens) and self.is_simple(end + 1):
                last = self.function.statement_end(end + 1)
                if last is not None:
                    new = f"{self.function.span(end + 1, last)} {self.function.span(i, end)}"
                    yield self.function.replace("statements-swapped", i, last, new)

    def doubled(self):
        """A call that is made twice."""
        for i, end in self.simple_statements():
            text = self.function.span(i, end)
            if self.tokens[end - 1].text == ")":
                yield self.function.replace("doubled", i, end, f"{text} {text}")

    def branches(self):
        """A branch that is always taken; one of two values, always."""
        for i, token in enumerate(self.tokens):
            if token.text == "if" and i + 1 in self.function.partner:
                condition = self.function.span(i + 2, self.function.partner[i + 1] - 1)
                yield self.function.replace("always", i + 2, self.function.partner[i + 1] - 1, f"1 || ({condition})")
            elif token.text == "?":
                for mutation in self.function.choice(i):
                    (start, end, new) = mutation.pieces[0]
                    for kind, word in (("always", "1 || "), ("never-chosen", "0 && ")):
                        yield operators.Mutation(self.function.name, kind, [(start, end, f"({word}{new[1:]})")])

    def one_site(self):
        """A named number that is used in several places, changed in one."""
        for i, token in enumerate(self.tokens):
            if i in self.function.wording or self.named.count(token.text) < 3 or not NAMED.fullmatch(token.text):
                continue
            for new in (f"({token.text} / 2)", f"({token.text} * 2)"):
                yield self.function.replace("one-site", i, i, new)

    def loops(self):
        """A loop that ends after its third round, and one that misses its last round unless that is the first."""
        for i, token in enumerate(self.tokens):
            if token.text != "for" or i + 1 not in self.function.partner:
                continue
            close = self.function.partner[i + 1]
            ends = [j for j in range(i + 2, close) if self.tokens[j].text == ";"]
            if len(ends) != 2 or ends[1] == ends[0] + 1:
                continue
            condition = self.function.span(ends[0] + 1, ends[1] - 1)
            inner = self.function.text[token.end : self.tokens[ends[0]].end]
            rest = self.function.text[self.tokens[ends[1]].start : self.tokens[close].end]
            rounds = "for (unsigned rounds_ = 0, once_ = 1; once_; once_ = 0) for"
            yield self.function.replace(
                "third-round", i, close, f"{rounds}{inner} ({condition}) && rounds_++ < 3{rest}")
            step = re.fullmatch(r"(\w+)(\+\+| \+= (.+))", self.function.span(ends[1] + 1, close - 1)
                                if close > ends[1] + 1 else "")
            limit = re.fullmatch(r"(\w+) < (.+)", condition)
            if step and limit and step.group(1) == limit.group(1) and "&&" not in condition:
                name, by = step.group(1), step.group(3) or "1"
                start = re.search(rf"\b{name} = ([^,;]+)", inner)
                if start:
                    new = f"{condition} && ({name} == ({start.group(1)}) || {name} + ({by}) < ({limit.group(2)}))"
                    yield self.function.replace("last-round", ends[0] + 1, ends[1] - 1, new)

    def passed_over(self):
        """A status that is not looked at."""
        for i, token in enumerate(self.tokens[:-2]):
            if token.kind == "name" and self.tokens[i + 1].text in ("==", "!=") \
                    and self.tokens[i + 2].text == "ADDCOW_OK" and self.tokens[i - 1].text not in (".", "->"):
                value = "1" if self.tokens[i + 1].text == "==" else "0"
                yield self.function.replace("passed-over", i, i + 2, f"((void){token.text}, {value})")

    def is_read(self, i):
        """Whether token i is a variable that is read there."""
        before = self.tokens[i - 1].text if i > 0 else ""
        after = self.tokens[i + 1].text if i + 1 < len(self.tokens) else ""
        if self.tokens[i].kind != "name" or i in self.function.wording or before in (".", "->", "&"):
            return False
        return not after.endswith("=") or after in ("==", "!=", "<=", ">=")

    def variables_mixed(self):
        """A variable for another of its type: for each place the next one of the list."""
        for names in self.variables.values():
            for i, token in enumerate(self.tokens):
                places = [k for k, (name, at) in enumerate(names) if name == token.text and at < i]
                others = [name for name, at in names if at < i and name != token.text]
                if places and others and self.is_read(i) and token.text not in ("error", "code"):
                    yield self.function.replace("variable", i, i, others[places[0] % len(others)])

    def narrow(self):
        """A 64-bit number of which only 32 bits are used."""
        for i, token in enumerate(self.tokens):
            if token.text in self.wide(i) and self.is_read(i):
                yield self.function.replace("32-bits", i, i, f"(uint32_t){token.text}")

    def rare(self):
        """A condition that is wrong for rare values: beyond 32 bits, or from the second block of the bitmap on."""
        for i, token in enumerate(self.tokens):
            if token.text != "if" or i + 1 not in self.function.partner:
                continue
            close = self.function.partner[i + 1]
            condition = self.function.span(i + 2, close - 1)
            for name in self.wide(i)[:2]:
                rare = [f"{name} > UINT32_MAX"] + ([f"{name} >= ADDCOW_BLOCK_BITS"] if name in BLOCK else [])
                for value in rare:
                    yield self.function.replace("rare", i + 2, close - 1, f"({condition}) && !({value})")

    def all(self):
        for rule in (self.swapped, self.doubled, self.branches, self.one_site, self.loops, self.passed_over,
                     self.variables_mixed, self.narrow, self.rare):
            yield from rule()


def rules_of(match, text):
    """All mutations of a function, for operators.mutations_of."""
    return Thinking(operators.Function(match, text), match.group("parameters"), text).all()


def mutations_of(file, text):
    """All mutations of a file; none of a header. Their numbers begin with t."""
    return [] if file.endswith(".h") else operators.mutations_of(file, text, rules_of, "t")
