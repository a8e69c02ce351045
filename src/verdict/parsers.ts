import { parseGoogletest, parseJq, parseMicropython, parseRedis } from "./parsers/c.ts";
import { parseCalypso } from "./parsers/calypso.ts";
import { parseCargo } from "./parsers/cargo.ts";
import { parseDjango } from "./parsers/django.ts";
import { parseDoctest } from "./parsers/doctest.ts";
import { parseEslint, parseMarked } from "./parsers/failures.ts";
import { parseGo } from "./parsers/go.ts";
import { parseHighlightjs } from "./parsers/highlightjs.ts";
import { parseAnt, parseGradle, parseGradle4, parseMaven, parseMaven4 } from "./parsers/java.ts";
import { parseImmutable, parseImmutable4, parseJest, parseJest4, parseJestJson, parseVitest } from "./parsers/jest.ts";
import { parseEmotion, parseGrommet, parseJestFiles } from "./parsers/jest-files.ts";
import { parseKarma } from "./parsers/karma.ts";
import { parseBpmn, parseChartjs, parseOpenlayers } from "./parsers/karma-failures.ts";
import { parseLighthouse } from "./parsers/lighthouse.ts";
import { parseCypress, parsePrism } from "./parsers/mocha-json.ts";
import { parseNext } from "./parsers/next.ts";
import { parseNodeTest } from "./parsers/node-test.ts";
import { parseP5js } from "./parsers/p5js.ts";
import type { Parser } from "./parsers/parser.ts";
import { parsePhpunit } from "./parsers/php.ts";
import { parsePlotly } from "./parsers/plotly.ts";
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
import { parseQuarto } from "./parsers/quarto.ts";
import { parseCucumber, parseJekyll, parseMinitest, parseRspec, parseRubyUnit } from "./parsers/ruby.ts";
import { parseSeaborn, parseSeaborn4 } from "./parsers/seaborn.ts";
import { parseSympy } from "./parsers/sympy.ts";
import { parseTap } from "./parsers/tap.ts";
import { parseUnittest } from "./parsers/unittest.ts";

type Named = readonly (readonly [name: string, parser: Parser])[];

/** All official names of one parser, as the rows' `log_parser` column has them. */
function named(parser: Parser, ...names: readonly string[]): Named {
  return names.map((name) => [`parse_log_${name}`, parser]);
}

const PYTEST = ["pytest", "astroid", "flask", "marshmallow", "pvlib", "pyvista", "sqlfluff", "xarray"];
const PYTEST_OPTIONS = ["pytest_options", "pydicom", "pylint", "requests"];
const PYTEST_V2 = ["pytest_v2", "astropy", "scikit", "sphinx"];

/** What both versions have, and have alike. */
const COMMON: Named = [
  ...named(parseDjango, "django"),
  ...named(parseSympy, "sympy"),
  ...named(parseCalypso, "calypso"),
  ...named(parseChartjs, "chart_js"),
  ...named(parseMarked, "marked"),
  ...named(parseP5js, "p5js"),
  ...named(parseJestFiles, "react_pdf"),
  ...named(parseJestJson, "jest_json"),
  ...named(parseVitest, "vitest"),
  ...named(parseKarma, "karma"),
  ...named(parseTap, "tap"),
  ...named(parseRedis, "redis"),
  ...named(parseJq, "jq"),
  ...named(parseDoctest, "doctest"),
  ...named(parseMicropython, "micropython_test"),
  ...named(parseGoogletest, "googletest"),
  ...named(parseGo, "gotest"),
  ...named(parseAnt, "ant"),
  ...named(parsePhpunit, "phpunit"),
  ...named(parseMinitest, "minitest"),
  ...named(parseCucumber, "cucumber"),
  ...named(parseRubyUnit, "ruby_unit"),
  ...named(parseRspec, "rspec_transformed_json"),
  ...named(parseJekyll, "jekyll"),
  ...named(parseCargo, "cargo"),
];

/** The repositories of the multimodal test set, which 4.1.0 cannot grade. */
const MULTIMODAL: Named = [
  ...named(parseBpmn, "bpmn_js"),
  ...named(parseJestFiles, "carbon"),
  ...named(parseEslint, "eslint"),
  ...named(parseGrommet, "grommet"),
  ...named(parseHighlightjs, "highlightjs"),
  ...named(parseLighthouse, "lighthouse"),
  ...named(parseNext, "next"),
  ...named(parseOpenlayers, "openlayers"),
  ...named(parsePrism, "prismjs"),
  ...named(parseQuarto, "quarto_cli"),
];

/** Parsers that 5.0.2 has and does not register. */
const UNREGISTERED: Named = [
  ...named(parseCypress, "cypress"),
  ...named(parseEmotion, "emotion"),
  ...named(parseJestFiles, "prettier", "scratch_gui"),
  ["parse_plotly_js", parsePlotly],
];

/** Ours. */
const OWN: Named = [
  ["unittest", parseUnittest],
  ["node_test", parseNodeTest],
];

/** Every parser by name: those of swebench 5.0.2, then our own. */
export const PARSERS: ReadonlyMap<string, Parser> = new Map([
  ...COMMON,
  ...MULTIMODAL,
  ...UNREGISTERED,
  ...named(parsePytest, ...PYTEST),
  ...named(parsePytestOptions, ...PYTEST_OPTIONS),
  ...named(parsePytestV2, ...PYTEST_V2),
  ...named(parseMatplotlib, "matplotlib"),
  ...named(parseSeaborn, "seaborn"),
  ...named(parseJest, "jest"),
  ...named(parseImmutable, "immutable_js"),
  ...named(parseMaven, "maven"),
  ...named(parseGradle, "gradle_custom"),
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
  ...named(parseJest4, "jest"),
  ...named(parseImmutable4, "immutable_js"),
  ...named(parseMaven4, "maven"),
  ...named(parseGradle4, "gradle_custom"),
  ...OWN,
]);
