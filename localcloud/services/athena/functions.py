"""What localcloud's Athena understands of Trino's SQL, and how it is said to DuckDB where that means something else.

What is in neither list is refused: a query either has Athena's answer or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from localcloud.services.athena.errors import QueryError, unsupported
from localcloud.services.athena.types import family

if TYPE_CHECKING:
    from collections.abc import Callable

    Place = tuple[int, int] | None
    Handler = Callable[[exp.Expr, Place], exp.Expr]

INTEGERS = {exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT}
FLOATS = {exp.DType.DOUBLE, exp.DType.FLOAT}
TEXTS = {exp.DType.VARCHAR, exp.DType.TEXT}
TARGETS = INTEGERS | FLOATS | TEXTS | {
    exp.DType.DECIMAL,
    exp.DType.BOOLEAN,
    exp.DType.DATE,
    exp.DType.TIMESTAMP,
    exp.DType.TIMESTAMPTZ,
    exp.DType.VARBINARY,
}  # fmt: skip
EXTRACTED = {"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"}
FORMATS = set("YmdHMSyf%")
MILLISECONDS = 3
MACROS = (
    """CREATE MACRO trino_substr(s, p) AS
        CASE WHEN s IS NULL OR p IS NULL THEN NULL WHEN p = 0 OR abs(p) > length(s) THEN '' ELSE substring(s, p) END,
    (s, p, n) AS
        CASE WHEN s IS NULL OR p IS NULL OR n IS NULL THEN NULL
             WHEN p = 0 OR abs(p) > length(s) OR n <= 0 THEN '' ELSE substring(s, p, n) END""",
    """CREATE MACRO trino_split_part(s, d, n) AS
        CASE WHEN n < 1 THEN error('INVALID_FUNCTION_ARGUMENT: Index must be greater than zero')
             WHEN n <= len(string_split(s, d)) THEN split_part(s, d, n) END""",
    """CREATE MACRO trino_regexp_extract(s, p) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p) END,
    (s, p, g) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p, g) END""",
    """CREATE MACRO trino_json_extract_scalar(j, p) AS
        CASE WHEN TRY(json_type(j, p)) NOT IN ('OBJECT', 'ARRAY', 'NULL') THEN TRY(json_extract_string(j, p)) END""",
    r"""CREATE MACRO trino_integer(s) AS
        CASE WHEN s IS NULL THEN NULL WHEN regexp_full_match(s, '[+-]?\d+') THEN s
             ELSE error('INVALID_CAST_ARGUMENT: Cannot cast ''' || s || ''' to an integer') END""",
    r"CREATE MACRO trino_try_integer(s) AS CASE WHEN regexp_full_match(s, '[+-]?\d+') THEN s END",
    """CREATE MACRO trino_text_of_time(t) AS strftime(t, '%Y-%m-%d %H:%M:%S.%g')""",
    """CREATE MACRO trino_unscaled(x) AS CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT)""",
    """CREATE MACRO trino_half_up(a, b) AS
        CASE WHEN b = 0 THEN error('DIVISION_BY_ZERO: Division by zero')
             ELSE (2 * abs(a) + abs(b)) // (2 * abs(b)) * CASE WHEN (a < 0) <> (b < 0) THEN -1 ELSE 1 END END""",
    """CREATE MACRO trino_avg_unscaled(x) AS
        CASE WHEN count(x) > 0 THEN trino_half_up(trino_unscaled(sum(x)), CAST(count(x) AS HUGEINT)) END""",
    """CREATE MACRO trino_quotient_unscaled(a, b, f) AS trino_half_up(trino_unscaled(a) * f, trino_unscaled(b))""",
)

# Parts of queries and expressions, and functions, that mean the same in DuckDB once sqlglot has written them.
ALIKE: tuple[type[exp.Expr], ...] = (
    exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Subquery, exp.With, exp.CTE, exp.From, exp.Join, exp.Where,
    exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Fetch, exp.Distinct, exp.Table,
    exp.TableAlias, exp.Alias, exp.Column, exp.Pseudocolumn, exp.Identifier, exp.Star, exp.Values, exp.Tuple, exp.Unnest,
    exp.Window, exp.WindowSpec, exp.GroupingSets, exp.Rollup, exp.Cube, exp.Literal, exp.Boolean, exp.Null, exp.Paren,
    exp.And, exp.Or, exp.Not, exp.Neg, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.NullSafeEQ,
    exp.NullSafeNEQ, exp.Between, exp.In, exp.Exists, exp.Like, exp.Escape, exp.Add, exp.Sub, exp.Mul, exp.Mod,
    exp.DPipe, exp.Case, exp.If, exp.DataType, exp.DataTypeParam, exp.Interval, exp.Var, exp.Array, exp.HexString,
    exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls, exp.Any, exp.All, exp.JSONPath, exp.JSONPathRoot,
    exp.JSONPathKey, exp.JSONPathSubscript,
    exp.Count, exp.Min, exp.Max, exp.ArrayAgg, exp.LogicalOr, exp.LogicalAnd, exp.Stddev, exp.StddevPop, exp.StddevSamp,
    exp.Variance, exp.VariancePop, exp.ArgMax, exp.ArgMin, exp.AnyValue, exp.GroupConcat, exp.Grouping, exp.RowNumber,
    exp.Rank, exp.DenseRank, exp.Lead, exp.Lag, exp.FirstValue, exp.LastValue, exp.NthValue, exp.Ntile, exp.PercentRank,
    exp.CumeDist, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least, exp.Lower, exp.Upper, exp.Trim, exp.Length,
    exp.Replace, exp.StrPosition, exp.Split, exp.Pad, exp.Chr, exp.StartsWith, exp.RegexpLike, exp.Abs, exp.Ceil,
    exp.Floor, exp.Round, exp.Sqrt, exp.Cbrt, exp.Ln, exp.Log, exp.Exp, exp.Pow, exp.Trunc, exp.Rand, exp.CurrentDate,
    exp.CurrentTimestamp, exp.Localtimestamp, exp.UnixToTime, exp.TimeToUnix, exp.FromISO8601Date, exp.FromISO8601Timestamp,
    exp.Date, exp.Try, exp.ArraySize, exp.ArrayContains, exp.ArrayToString, exp.GenerateSeries, exp.Hex, exp.Unhex,
    exp.MD5Digest, exp.SHA2Digest, exp.Encode, exp.Decode,
)  # fmt: skip


def _call(name: str, *arguments: exp.Expr | None) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=[one for one in arguments if one is not None])


def _cast(node: exp.Expr, kind: str) -> exp.Expr:
    return exp.Cast(this=node, to=exp.DataType.build(kind, dialect="duckdb"))


def _is(node: exp.Expr | None, kinds: set[exp.DType]) -> bool:
    return node is not None and node.type is not None and node.type.this in kinds


def mismatch(text: str, place: Place) -> QueryError:
    """Say that types do not go together."""
    return QueryError("TYPE_MISMATCH", text, place)


def name_of(kind: exp.DataType | None) -> str:
    """Name a type as Athena does."""
    return str(kind.sql("trino")).lower() if kind else "unknown"


def _division(node: exp.Expr, place: Place) -> exp.Expr:
    left, right = node.this, node.expression
    if _is(left, INTEGERS) and _is(right, INTEGERS):
        return exp.Paren(this=exp.IntDiv(this=exp.Paren(this=left), expression=exp.Paren(this=right)))
    if _is(left, FLOATS) or _is(right, FLOATS):
        return exp.Div(this=left, expression=right, typed=False, safe=False)
    scales = _scale(left), _scale(right)
    if scales[0] is None or scales[1] is None:
        raise unsupported("a division of what has no known type: cast both sides", place)
    scale = max(scales[0], scales[1])
    factor = _cast(exp.Literal.number(10 ** (scale - scales[0] + scales[1])), "HUGEINT")
    return _scaled(_call("trino_quotient_unscaled", left, right, factor), scale)


def _scale(node: exp.Expr) -> int | None:
    """Digits behind the point that a decimal has; None if that is not known."""
    if _is(node, INTEGERS):
        return 0
    if isinstance(node, (exp.Column, exp.Cast)) and node.type is not None and len(node.type.expressions) > 1:
        return _parameters(node.type)[1]
    if isinstance(node, (exp.Paren, exp.Neg, exp.Sum, exp.Min, exp.Max, exp.Abs, exp.AnyValue)):
        return _scale(node.this)
    if isinstance(node, (exp.Add, exp.Sub, exp.Mul)):
        scales = _scale(node.this), _scale(node.expression)
        if scales[0] is None or scales[1] is None:
            return None
        return scales[0] + scales[1] if isinstance(node, exp.Mul) else max(scales[0], scales[1])
    return None


def _scaled(unscaled: exp.Expr, scale: int) -> exp.Expr:
    """Make a decimal of its digits."""
    whole = _cast(unscaled, "DECIMAL(38,0)")
    if scale == 0:
        return whole
    return exp.Paren(this=exp.Mul(this=whole, expression=exp.Literal.number(f"0.{'0' * (scale - 1)}1")))


def _outermost(node: exp.Expr) -> exp.Expr:
    """Give an aggregate with its window and filter."""
    while (
        isinstance(node.parent, (exp.Window, exp.Filter, exp.IgnoreNulls, exp.RespectNulls)) and node.arg_key == "this"
    ):
        node = node.parent
    return node


def _as_bigint(node: exp.Expr, _place: Place) -> exp.Expr:
    """DuckDB sums whole numbers in 128 bits."""
    if isinstance(node, exp.CountIf) or _is(node.this, INTEGERS):
        whole = _outermost(node)
        if whole is not node:
            cast = _cast(whole.copy(), "BIGINT")
            cast.type = exp.DataType.build("BIGINT")
            whole.replace(cast)
            return node
        return _cast(node.copy(), "BIGINT")
    return node


def _average(node: exp.Expr, place: Place) -> exp.Expr:
    """Athena's average of decimals is a decimal of the same type."""
    kind = node.this.type
    if kind is None or kind.this != exp.DType.DECIMAL:
        return node
    scale = _parameters(kind)[1:2]
    if not scale or _outermost(node) is not node or isinstance(node.this, exp.Distinct):
        raise unsupported("this average of decimals: cast them to double", place)
    return _scaled(_call("trino_avg_unscaled", node.this), scale[0])


def _parameters(kind: exp.DataType) -> list[int]:
    return [int(one.name) for one in kind.expressions]


def _distinct(node: exp.Expr, _place: Place) -> exp.Expr:
    return exp.Count(this=exp.Distinct(expressions=[node.this]))


def _substring(node: exp.Expr, _place: Place) -> exp.Expr:
    return _call("trino_substr", node.this, node.args.get("start"), node.args.get("length"))


def _split_part(node: exp.Expr, _place: Place) -> exp.Expr:
    return _call("trino_split_part", node.this, node.args["delimiter"], node.args["part_index"])


def _regexp_extract(node: exp.Expr, _place: Place) -> exp.Expr:
    return _call("trino_regexp_extract", node.this, node.expression, node.args.get("group"))


def _regexp_replace(node: exp.Expr, place: Place) -> exp.Expr:
    replacement = node.args.get("replacement")
    if replacement is not None:
        if not replacement.is_string or "\\" in replacement.name or "{" in replacement.name:
            raise unsupported("this replacement in regexp_replace", place)
        node.set("replacement", exp.Literal.string(replacement.name.replace("$", "\\")))
    return node


def _json_scalar(node: exp.Expr, _place: Place) -> exp.Expr:
    return _call("trino_json_extract_scalar", node.this, node.expression)


def _date_diff(node: exp.Expr, place: Place) -> exp.Expr:
    first, second = node.expression, node.this
    _times(place, first, second)
    unit = exp.Literal.string(str(node.args["unit"].name).lower())
    return _call("date_sub", unit, _cast(first, "TIMESTAMP"), _cast(second, "TIMESTAMP"))


def _times(place: Place, *nodes: exp.Expr) -> None:
    for node in nodes:
        if family(node.type) not in {"", "time"}:
            raise mismatch(f"Unexpected parameters ({name_of(node.type)}): a date or timestamp is wanted", place)


def _keeps_date(node: exp.Expr, place: Place) -> exp.Expr:
    """Keep dates: what is made of one is no timestamp."""
    _times(place, node.this)
    return _cast(node.copy(), "DATE") if _is(node.this, {exp.DType.DATE}) else node


def _plus(node: exp.Expr, _place: Place) -> exp.Expr:
    dated = _is(node.this, {exp.DType.DATE}) or _is(node.expression, {exp.DType.DATE})
    if dated and (isinstance(node.this, exp.Interval) or isinstance(node.expression, exp.Interval)):
        return _cast(exp.Paren(this=node.copy()), "DATE")
    return node


def _format(node: exp.Expr, place: Place) -> exp.Expr:
    wanted = node.args["format"]
    directives = wanted.name.split("%")[1:] if wanted.is_string else ["-"]
    if any(one[:1] not in FORMATS for one in directives if one):
        raise unsupported(f"the format {wanted.sql()}", place)
    return node


def _part_of_time(node: exp.Expr, place: Place) -> exp.Expr:
    if isinstance(node, exp.Extract):
        if node.name.upper() not in EXTRACTED:
            raise unsupported(f"extract({node.name})", place)
        _times(place, node.expression)
    else:
        _times(place, node.this)
    return node


def _texts(node: exp.Expr, place: Place) -> exp.Expr:
    for one in node.expressions or (node.this, node.expression):
        if family(one.type) not in {"", "text"} and not isinstance(one, exp.Null):
            raise mismatch(f"Unexpected parameters ({name_of(one.type)}) for function concat", place)
    return node


def _element(node: exp.Expr, place: Place) -> exp.Expr:
    if not node.args.get("safe"):
        raise unsupported("subscripts: use element_at", place)
    return node


def _conversion(node: exp.Expr, place: Place) -> exp.Expr:
    """Convert as Trino does: halves away from zero, no fractions in texts of whole numbers, times with milliseconds."""
    target, source = node.args["to"], node.this
    parameters = _parameters(target) if target.this in TARGETS else []
    if target.this not in TARGETS or (target.this == exp.DType.DECIMAL and len(parameters) < 2):
        raise unsupported(f"a cast to {name_of(target)}; decimals need precision and scale", place)
    if target.this in {exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ} and parameters:
        if parameters[0] != MILLISECONDS and not isinstance(source, exp.Literal):
            raise unsupported("timestamps of other than milliseconds", place)
        node.set("to", exp.DataType(this=target.this))
    if target.this in INTEGERS:
        if family(source.type) == "text" and not isinstance(source, exp.Null):
            tried = "trino_try_integer" if isinstance(node, exp.TryCast) else "trino_integer"
            node.set("this", _call(tried, source))
        elif _is(source, FLOATS):
            node.set("this", exp.Floor(this=exp.Add(this=exp.Paren(this=source), expression=exp.Literal.number("0.5"))))
    if target.this in TEXTS:
        return _to_text(source, parameters, place)
    return node


def _to_text(source: exp.Expr, parameters: list[int], place: Place) -> exp.Expr:
    if _is(source, FLOATS) or _is(source, {exp.DType.TIMESTAMPTZ}):
        raise unsupported(f"a cast of {name_of(source.type)} to varchar", place)
    if family(source.type) == "bytes":
        raise mismatch(f"Cannot cast {name_of(source.type)} to varchar", place)
    text = _call("trino_text_of_time", source) if _is(source, {exp.DType.TIMESTAMP}) else _cast(source, "VARCHAR")
    return _call("left", text, exp.Literal.number(parameters[0])) if parameters else text


HANDLERS: dict[type[exp.Expr], Handler] = {
    exp.Div: _division,
    exp.Sum: _as_bigint,
    exp.CountIf: _as_bigint,
    exp.Avg: _average,
    exp.ApproxDistinct: _distinct,
    exp.Substring: _substring,
    exp.SplitPart: _split_part,
    exp.RegexpExtract: _regexp_extract,
    exp.RegexpReplace: _regexp_replace,
    exp.JSONExtractScalar: _json_scalar,
    exp.DateDiff: _date_diff,
    exp.DateAdd: _keeps_date,
    exp.DateTrunc: _keeps_date,
    exp.TimestampTrunc: _keeps_date,
    exp.Add: _plus,
    exp.Sub: _plus,
    exp.TimeToStr: _format,
    exp.StrToTime: _format,
    exp.Extract: _part_of_time,
    exp.Concat: _texts,
    exp.DPipe: _texts,
    exp.Bracket: _element,
    exp.Cast: _conversion,
    exp.TryCast: _conversion,
    **dict.fromkeys(
        (
            exp.Year,
            exp.Quarter,
            exp.Month,
            exp.WeekOfYear,
            exp.Day,
            exp.Hour,
            exp.Minute,
            exp.DayOfWeekIso,
            exp.DayOfYear,
        ),
        _part_of_time,
    ),
}
