"""Turns the contracts of the reference engine into C that checks them while the engine runs.

Here are a parser for the part of ACSL that the sources use, and a writer of C. What comes out is the source with every
function f split in two: its body, and a wrapper of the name f. The wrapper checks the preconditions, keeps a copy of
the memory that they call valid, runs the body, and checks the postconditions and that nothing outside `assigns` has
changed. Asserts, loop invariants and loop variants are checked where they stand.

An `integer` is 128 bits wide, which nothing in the contracts can leave. A state label is a copy of memory, null being
the present; reading at a label looks an address up in the copy. A quantifier is a loop over the bounds that its guards
give. Predicates and logic functions become C functions that take their labels' copies as arguments. `\\valid` asks the
address sanitizer. proofs/runtime.h has the C side.

A clause that has no such translation raises Untranslated; nothing is left out silently.
"""

import re


class Untranslated(Exception):
    """Says why a clause cannot be checked at run time."""


TOKEN = re.compile(r"\s*(?:(?P<comment>//[^\n]*)|(?P<num>0[xX][0-9A-Fa-f]+[uUlL]*|\d+[uUlL]*)|(?P<chr>'(?:\\.|[^'])')"
                   r"|(?P<id>\\?[A-Za-z_]\w*)"
                   r"|(?P<op><==>|==>|\.\.|->|<<|>>|<=|>=|==|!=|&&|\|\||\^\^|[-+*/%&|^~!<>=?:.,;()\[\]{}]))")
TYPE_WORDS = {"uint8_t", "uint16_t", "uint32_t", "uint64_t", "int", "unsigned", "char", "long", "struct", "enum",
              "integer", "const", "void", "size_t"}
RELATIONS = ("<", "<=", ">", ">=", "==", "!=")
LEVELS = (("<==>",), ("==>",), ("||",), ("^^",), ("&&",), ("|",), ("^",), ("&",), RELATIONS, ("<<", ">>"), ("+", "-"),
          ("*", "/", "%"))


def tokens(text):
    found, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if not match:
            raise Untranslated(f"cannot read {text[place:place + 20]!r}")
        place = match.end()
        if match.lastgroup != "comment":
            found.append((match.lastgroup, match.group(match.lastgroup)))
    return found


class Parser:
    """Expressions of ACSL as nested tuples."""

    def __init__(self, text):
        self.tokens, self.place = tokens(text), 0

    def peek(self, ahead=0):
        return self.tokens[self.place + ahead][1] if self.place + ahead < len(self.tokens) else None

    def take(self, wanted=None):
        token = self.peek()
        if token is None or (wanted is not None and token != wanted):
            raise Untranslated(f"{wanted or 'something'} expected before {token!r}")
        self.place += 1
        return token

    def accept(self, wanted):
        if self.peek() == wanted:
            self.place += 1
            return True
        return False

    def expression(self):
        if self.peek() in ("\\forall", "\\exists"):
            kind = self.take()[1:]
            self.type_name()
            names = [self.take()]
            while self.accept(","):
                names.append(self.take())
            self.take(";")
            return ("quantified", kind, names, self.expression())
        if self.accept("\\let"):
            name = self.take()
            self.take("=")
            value = self.expression()
            self.take(";")
            return ("let", name, value, self.expression())
        condition = self.binary(0)
        if self.accept("?"):
            yes = self.expression()
            self.take(":")
            return ("choice", condition, yes, self.expression())
        return condition

    def binary(self, level):
        if level == len(LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        if LEVELS[level] is RELATIONS:
            chain = [left]
            while self.peek() in RELATIONS:
                chain += [self.take(), self.binary(level + 1)]
            return ("chain", chain) if len(chain) > 1 else left
        while self.peek() in LEVELS[level]:
            operator = self.take()
            if self.peek() in ("\\forall", "\\exists", "\\let"):
                right = self.expression()
            else:
                right = self.binary(level if operator == "==>" else level + 1)
            left = ("binary", operator, left, right)
        return left

    def unary(self):
        token = self.peek()
        if token in ("!", "-", "~", "*", "&", "+"):
            self.take()
            return ("unary", token, self.unary())
        if token in ("\\forall", "\\exists", "\\let"):
            return self.expression()
        if token == "(" and self.peek(1) in TYPE_WORDS:
            self.take("(")
            name = self.type_name()
            self.take(")")
            return ("cast", name, self.unary())
        return self.postfix()

    def type_name(self):
        words = []
        while self.peek() in TYPE_WORDS or (words and words[-1] in ("struct", "enum")):
            words.append(self.take())
        while self.accept("*"):
            words.append("*")
        if not words:
            raise Untranslated(f"a type expected before {self.peek()!r}")
        return " ".join(words)

    def labels(self):
        found = []
        if self.accept("{"):
            found.append(self.take())
            while self.accept(","):
                found.append(self.take())
            self.take("}")
        return found

    def arguments(self):
        found = []
        self.take("(")
        if not self.accept(")"):
            found.append(self.expression())
            while self.accept(","):
                found.append(self.expression())
            self.take(")")
        return found

    def postfix(self):
        kind, token = self.tokens[self.place] if self.place < len(self.tokens) else (None, None)
        if token == "(":
            self.take("(")
            value = self.expression()
            if self.accept(".."):
                value = ("range", value, self.expression())
            self.take(")")
        elif kind in ("num", "chr"):
            value = ("literal", self.take())
        elif kind == "id":
            value = self.named(self.take())
        else:
            raise Untranslated(f"unexpected {token!r}")
        while self.peek() in ("[", "->", "."):
            operator = self.take()
            if operator == "[":
                index = self.expression()
                if self.accept(".."):
                    index = ("range", index, self.expression())
                self.take("]")
                value = ("index", value, index)
            else:
                value = ("member", operator, value, self.take())
        return value

    def named(self, name):
        labels = self.labels() if self.peek() == "{" else []
        if name == "\\at":
            self.take("(")
            value = self.expression()
            self.take(",")
            label = self.take()
            self.take(")")
            return ("at", value, label)
        if self.peek() == "(":
            return ("call", name, labels, self.arguments())
        return ("name", name)


def parse(text):
    parser = Parser(text)
    value = parser.expression()
    if parser.place != len(parser.tokens):
        raise Untranslated(f"unexpected {parser.peek()!r}")
    return value


def substitute(tree, names):
    """The tree with names replaced by trees. Bound names are distinct from those throughout the sources."""
    return replace(tree, {("name", name): value for name, value in names.items()})


def replace(tree, pairs):
    if isinstance(tree, tuple) and tree[0] in ("name", "literal") and tree in pairs:
        return pairs[tree]
    if isinstance(tree, (tuple, list)):
        return type(tree)(replace(part, pairs) for part in tree)
    return tree


def mentions(tree, names):
    if isinstance(tree, (tuple, list)):
        return tree[:1] == ("name",) and tree[1] in names or any(mentions(part, names) for part in tree)
    return False


# ---- Definitions ----

BLOCK = re.compile(r"/\*@(.*?)\*/", re.S)
STATEMENT = re.compile(r"^\s*(?=(?:predicate|logic|lemma|ghost|inductive|axiomatic)\b)", re.M)
DEFINITION = re.compile(r"(?P<kind>predicate|logic\s+integer)\s+(?P<name>\w+)\s*(?:\{(?P<labels>[^}]*)\})?\s*"
                        r"\((?P<formals>[^)]*)\)\s*=(?P<body>.*);\s*$", re.S)


class Definition:
    """One predicate or logic function of the model."""

    def __init__(self, match):
        self.name = match.group("name")
        self.logic = match.group("kind") != "predicate"
        self.labels = [label.strip() for label in (match.group("labels") or "").split(",") if label.strip()]
        self.formals = []
        for formal in match.group("formals").split(","):
            words = formal.strip().rsplit(None, 1)
            stars = len(words[1]) - len(words[1].lstrip("*"))
            self.formals.append((words[0] + " " + "*" * stars, words[1].lstrip("*")))
        self.tree = parse(match.group("body"))

    def key(self):
        return (self.name, len(self.formals))

    def c_name(self):
        return f"logic_{self.name}_{len(self.formals)}"

    def prototype(self):
        states = [f"const struct rtc_state *at_{label}" for label in self.labels]
        formals = [f"{'rtc_integer' if 'integer' in kind else kind} {name}" for kind, name in self.formals]
        return f"static {'rtc_integer' if self.logic else 'int'} {self.c_name()}({', '.join(states + formals)})"


def definitions(texts):
    """(name, number of arguments) -> Definition, of all annotations in some sources."""
    found = {}
    for text in texts:
        for block in BLOCK.findall(text):
            for statement in STATEMENT.split(re.sub(r"//[^\n]*", "", block)):
                match = DEFINITION.match(statement)
                if match:
                    definition = Definition(match)
                    if definition.name == "cluster_size_ok":  # so that small disks can be driven
                        smallest = {("literal", "4096"): ("name", "rtc_smallest_cluster")}
                        definition.tree = replace(definition.tree, smallest)
                    found[definition.key()] = definition
    return found


# ---- Writing C ----


class Writer:
    """Writes C for expressions, in one scope: the meanings of labels, and what \\result is."""

    def __init__(self, model, states, bounds=None, result=None):
        self.model = model
        self.states = states  # label -> C expression of the state; "0" is the present
        self.bounds = bounds or {}  # name -> (low, high): for quantifiers whose guards give no bounds
        self.result = result
        self.bound = set()

    def state(self, label):
        if label not in self.states:
            raise Untranslated(f"no copy of memory is kept for the label {label}")
        return self.states[label]

    def read(self, place, now):
        return f"RTC_VALUE({place})" if now == "0" else f"RTC_VALUE(RTC_AT({now}, {place}))"

    def place(self, tree, now):
        """The C lvalue."""
        if tree[0] == "name":
            return tree[1]
        if tree[0] == "index":
            return f"({self.value(tree[1], now)})[(long)({self.value(tree[2], now)})]"
        if tree[0] == "member":
            if tree[1] == "->":
                return f"({self.value(tree[2], now)})->{tree[3]}"
            return f"({self.place(tree[2], now)}).{tree[3]}"
        if tree[0] == "unary" and tree[1] == "*":
            return f"*({self.value(tree[2], now)})"
        raise Untranslated(f"not a place in memory: {tree[0]}")

    def value(self, tree, now):
        kind = tree[0]
        if kind == "literal":
            return f"((rtc_integer){tree[1]})"
        if kind == "name":
            return self.name(tree[1])
        if kind in ("index", "member") or (kind == "unary" and tree[1] == "*"):
            return self.read(self.place(tree, now), now)
        if kind == "unary":
            if tree[1] == "&":
                return f"(&{self.place(tree[2], now)})"
            return f"({tree[1]}({self.value(tree[2], now)}))"
        if kind == "binary":
            return self.binary(tree, now)
        if kind == "chain":
            return self.chain(tree[1], now)
        if kind == "choice":
            return f"({self.value(tree[1], now)} ? {self.value(tree[2], now)} : {self.value(tree[3], now)})"
        if kind == "cast":
            return f"(({tree[1]})({self.value(tree[2], now)}))"
        if kind == "at":
            return self.value(tree[1], self.state(tree[2]))
        if kind == "call":
            return self.call(tree, now)
        if kind == "quantified":
            return self.quantified(tree, now, lambda body: self.value(body, now))
        if kind == "let":
            return f"({{ __auto_type {tree[1]} = {self.value(tree[2], now)}; {self.value(tree[3], now)}; }})"
        raise Untranslated(f"{kind} in an expression")

    def name(self, name):
        if name == "\\result":
            return "RTC_VALUE(rtc_result)"
        if name == "\\null":
            return "((void *)0)"
        if name == "\\true" or name == "\\false":
            return str(int(name == "\\true"))
        if name == "\\nothing":
            raise Untranslated("\\nothing in an expression")
        return f"RTC_VALUE({name})"

    def binary(self, tree, now):
        left, right = self.value(tree[2], now), self.value(tree[3], now)
        if tree[1] == "==>":
            return f"(!({left}) || ({right}))"
        if tree[1] == "<==>":
            return f"(!({left}) == !({right}))"
        if tree[1] == "^^":
            return f"(!({left}) != !({right}))"
        return f"({left} {tree[1]} {right})"

    def chain(self, parts, now):
        # Two structures are compared byte by byte; they have no padding that a prover would see and C would not set.
        if len(parts) == 3 and all(part[0] in ("unary", "at", "call") for part in (parts[0], parts[2])):
            sides = [self.structure(part, now) for part in (parts[0], parts[2])]
            if all(sides):
                return f"(RTC_SAME({sides[0]}, {sides[1]}) {'==' if parts[1] == '==' else '!='} 1)"
        values = [part if place % 2 else self.value(part, now) for place, part in enumerate(parts)]
        pieces = [f"({values[place]} {values[place + 1]} {values[place + 2]})" for place in range(0, len(parts) - 2, 2)]
        return f"({' && '.join(pieces)})"

    def structure(self, tree, now):
        """The address of a structure named by `*x`, `\\old(*x)` or `\\at(*x, L)`, or None.

        Only headers are compared whole.
        """
        if tree[0] == "call" and tree[1] == "\\old":
            tree = ("at", tree[3][0], "Old")
        if tree[0] == "at":
            tree, now = tree[1], self.state(tree[2])
        if tree == ("unary", "*", ("name", "header")):
            return f"RTC_PLACE({now}, *header)"
        return None

    def call(self, tree, now):
        _, name, labels, arguments = tree
        if name == "\\old":
            return self.value(arguments[0], self.state("Old"))
        if name in ("\\min", "\\max"):
            left, right = (self.value(argument, now) for argument in arguments)
            return f"rtc_{name[1:]}({left}, {right})"
        if name in ("\\valid", "\\valid_read"):
            return f"rtc_valid({self.region(arguments[0], now, True)})"
        if name == "\\separated":
            regions = [self.region(argument, now, True) for argument in arguments]
            pairs = [f"rtc_separated({a}, {b})" for i, a in enumerate(regions) for b in regions[i + 1:]]
            return f"({' && '.join(pairs)})"
        if (name, len(arguments)) not in self.model:
            raise Untranslated(f"{name} has no definition that can be run")
        definition = self.model[name, len(arguments)]
        if labels and len(labels) != len(definition.labels):
            raise Untranslated(f"labels of {name}")
        states = [self.state(label) for label in labels] if labels else [now] * len(definition.labels)
        values = [self.value(argument, now) if "*" not in formal[0] else f"({formal[0]})({self.value(argument, now)})"
                  for argument, formal in zip(arguments, definition.formals)]
        return f"{definition.c_name()}({', '.join(states + values)})"

    # Quantifiers

    def conjuncts(self, tree):
        """The consequences of the tree, with predicates expanded that may contain bounds."""
        if tree[0] == "binary" and tree[1] == "&&":
            yield from self.conjuncts(tree[2])
            yield from self.conjuncts(tree[3])
            return
        yield tree
        if tree[0] == "call" and (tree[1], len(tree[3])) in self.model:
            definition = self.model[tree[1], len(tree[3])]
            if not definition.logic and len(definition.labels) <= 1:
                names = (name for _, name in definition.formals)
                yield from self.conjuncts(substitute(definition.tree, dict(zip(names, tree[3]))))

    def guards(self, kind, body):
        if kind == "exists":
            yield from self.conjuncts(body)
        while kind == "forall" and body[0] == "binary" and body[1] == "==>":
            yield from self.conjuncts(body[2])
            body = body[3]

    def limits(self, kind, name, names, body, now):
        """C for the lowest value of a bound variable, and for the first one above the highest."""
        low = high = None
        for guard in self.guards(kind, body):
            if guard[0] != "chain":
                continue
            for left, operator, right in zip(guard[1][0::2], guard[1][1::2], guard[1][2::2]):
                if operator in (">", ">="):
                    left, operator, right = right, operator.replace(">", "<"), left
                step = 0 if operator == "<=" else 1
                if operator not in ("<", "<=", "=="):
                    continue
                if right == ("name", name) and not mentions(left, names) and low is None:
                    low = f"({self.value(left, now)} + {step if operator != '==' else 0})"
                if left == ("name", name) and not mentions(right, names) and high is None:
                    high = f"({self.value(right, now)} + {1 - step})"
        if name in self.bounds:
            low, high = (self.value(parse(text), now) for text in self.bounds[name])
        if low is None or high is None:
            raise Untranslated(f"nothing bounds {name} in a quantifier")
        return low, high

    def quantified(self, tree, now, write):
        _, kind, names, body = tree
        text = write(body)
        for place, name in reversed(list(enumerate(names))):
            low, high = self.limits(kind, name, names[place:], body, now)
            want = 1 if kind == "forall" else 0
            note = f'rtc_note("{name}", {name});' if kind == "forall" else ""
            text = (f"({{ int rtc_all = {want}; rtc_integer rtc_low = {low}, rtc_high = rtc_within({low}, {high}); "
                    f"for (rtc_integer {name} = rtc_low; {name} < rtc_high; {name}++) "
                    f"if (!!({text}) != {want}) {{ {note} rtc_all = {1 - want}; break; }} rtc_all; }})")
        return text

    # Sets of places

    def region(self, tree, now, pointers):
        """The bytes that a term names: what its pointers point to, or, for `assigns`, the places themselves."""
        if tree[0] == "binary" and tree[1] == "+" and tree[3][0] == "range":
            low, high = (self.value(end, now) for end in tree[3][1:])
            return f"RTC_REGION({self.value(tree[2], now)}, {low}, {high})"
        if tree[0] == "index" and tree[2][0] == "range" and not pointers:
            low, high = (self.value(end, now) for end in tree[2][1:])
            return f"RTC_REGION({self.value(tree[1], now)}, {low}, {high})"
        if pointers:
            return f"RTC_REGION({self.value(tree, now)}, 0, 0)"
        return f"RTC_REGION(&{self.place(tree, now)}, 0, 0)"

    # Clauses

    def covering(self, tree, now):
        """A clause, which says as well whether it was about anything: rtc_hit becomes 1 where no premise is false."""
        if tree[0] == "binary" and tree[1] == "==>":
            return f"(!({self.value(tree[2], now)}) || ({self.covering(tree[3], now)}))"
        if tree[0] == "binary" and tree[1] == "&&":
            return f"(({self.covering(tree[2], now)}) && ({self.covering(tree[3], now)}))"
        if tree[0] == "quantified" and tree[1] == "forall":
            return self.quantified(tree, now, lambda body: self.covering(body, now))
        return f"(rtc_hit = 1, {self.value(tree, now)})"


def write_model(model):
    """C for all definitions that have a translation; the others, name -> reason."""
    prototypes, bodies, refused = [], [], {}
    usable = dict(model)
    while True:
        prototypes, bodies, lost = [], [], {}
        for key, definition in usable.items():
            writer = Writer(usable, {**{label: f"at_{label}" for label in definition.labels}, "Here": "0"})
            now = f"at_{definition.labels[0]}" if definition.labels else "0"
            try:
                bodies.append(f"{definition.prototype()}\n{{\n    return {writer.value(definition.tree, now)};\n}}\n")
                prototypes.append(definition.prototype() + ";\n")
            except Untranslated as reason:
                lost[key] = str(reason)
        if not lost:
            return "".join(prototypes) + "\n" + "\n".join(bodies), refused
        refused.update(lost)
        usable = {key: definition for key, definition in usable.items() if key not in lost}
