import { parseDjango } from "./parsers/django.ts";
import { parseNodeTest } from "./parsers/node-test.ts";
import type { Parser } from "./parsers/parser.ts";
import { parseMatplotlib, parsePytest, parsePytestOptions, parsePytestV2, parseSeaborn } from "./parsers/pytest.ts";
import { parseSympy } from "./parsers/sympy.ts";
import { parseUnittest } from "./parsers/unittest.ts";

/** Every parser by name: those of `PARSER_REGISTRY` in swebench 5.0.2, as the rows' `log_parser` column has them, then our own. */
export const PARSERS: ReadonlyMap<string, Parser> = new Map([
  ["parse_log_pytest", parsePytest],
  ["parse_log_astroid", parsePytest],
  ["parse_log_flask", parsePytest],
  ["parse_log_marshmallow", parsePytest],
  ["parse_log_pvlib", parsePytest],
  ["parse_log_pyvista", parsePytest],
  ["parse_log_sqlfluff", parsePytest],
  ["parse_log_xarray", parsePytest],
  ["parse_log_pytest_options", parsePytestOptions],
  ["parse_log_pydicom", parsePytestOptions],
  ["parse_log_pylint", parsePytestOptions],
  ["parse_log_requests", parsePytestOptions],
  ["parse_log_pytest_v2", parsePytestV2],
  ["parse_log_astropy", parsePytestV2],
  ["parse_log_scikit", parsePytestV2],
  ["parse_log_sphinx", parsePytestV2],
  ["parse_log_matplotlib", parseMatplotlib],
  ["parse_log_seaborn", parseSeaborn],
  ["parse_log_django", parseDjango],
  ["parse_log_sympy", parseSympy],
  ["unittest", parseUnittest],
  ["node_test", parseNodeTest],
]);
