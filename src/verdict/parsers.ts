import { parseDjango } from "./parsers/django.ts";
import { parseNodeTest } from "./parsers/node-test.ts";
import type { Parser } from "./parsers/parser.ts";
import {
  parseMatplotlib,
  parseMatplotlib4,
  parsePytest,
  parsePytest4,
  parsePytestOptions,
  parsePytestOptions4,
  parsePytestV2,
  parsePytestV24,
} from "./parsers/pytest.ts";
import { parseSeaborn, parseSeaborn4 } from "./parsers/seaborn.ts";
import { parseSympy } from "./parsers/sympy.ts";
import { parseUnittest } from "./parsers/unittest.ts";

type Named = readonly (readonly [name: string, parser: Parser])[];

/** All names of one parser, as the rows' `log_parser` column has them. */
function named(parser: Parser, ...names: readonly string[]): Named {
  return names.map((name) => [`parse_log_${name}`, parser]);
}

const PYTEST = ["pytest", "astroid", "flask", "marshmallow", "pvlib", "pyvista", "sqlfluff", "xarray"];
const PYTEST_OPTIONS = ["pytest_options", "pydicom", "pylint", "requests"];
const PYTEST_V2 = ["pytest_v2", "astropy", "scikit", "sphinx"];

/** What both versions have, and have alike. */
const COMMON: Named = [...named(parseDjango, "django"), ...named(parseSympy, "sympy")];

/** Ours. */
const OWN: Named = [
  ["unittest", parseUnittest],
  ["node_test", parseNodeTest],
];

/** Every parser by name: those of `PARSER_REGISTRY` in swebench 5.0.2, then our own. */
export const PARSERS: ReadonlyMap<string, Parser> = new Map([
  ...COMMON,
  ...named(parsePytest, ...PYTEST),
  ...named(parsePytestOptions, ...PYTEST_OPTIONS),
  ...named(parsePytestV2, ...PYTEST_V2),
  ...named(parseMatplotlib, "matplotlib"),
  ...named(parseSeaborn, "seaborn"),
  ...OWN,
]);

/** The same for swebench 4.1.0, which chooses by repository, under the names that its functions have. */
export const PARSERS_4: ReadonlyMap<string, Parser> = new Map([
  ...COMMON,
  ...named(parsePytest4, ...PYTEST),
  ...named(parsePytestOptions4, ...PYTEST_OPTIONS),
  ...named(parsePytestV24, ...PYTEST_V2),
  ...named(parseMatplotlib4, "matplotlib"),
  ...named(parseSeaborn4, "seaborn"),
  ...OWN,
]);
