import { PARSERS_4 } from "../parsers.ts";
import type { EvalType } from "../verdict.ts";

/** The releases of the official harness that there are rules for. */
export const OFFICIAL_RULES = ["swebench@5.0.2", "swebench@4.1.0"] as const;
export type OfficialRule = (typeof OFFICIAL_RULES)[number];

/** `MAP_REPO_TO_PARSER` of `harness/log_parsers`; 4.1.0 has those whose parser it has. */
const REPOSITORIES: Readonly<Record<string, readonly string[]>> = {
  pytest: [
    "pallets/flask",
    "marshmallow-code/marshmallow",
    "pvlib/pvlib-python",
    "pydata/xarray",
    "pylint-dev/astroid",
    "pytest-dev/pytest",
    "pyvista/pyvista",
    "sqlfluff/sqlfluff",
  ],
  pytest_options: ["psf/requests", "pydicom/pydicom", "pylint-dev/pylint"],
  pytest_v2: ["astropy/astropy", "scikit-learn/scikit-learn", "sphinx-doc/sphinx"],
  django: ["django/django"],
  matplotlib: ["matplotlib/matplotlib"],
  seaborn: ["mwaskom/seaborn"],
  sympy: ["sympy/sympy"],
  calypso: ["Automattic/wp-calypso"],
  chart_js: ["chartjs/Chart.js"],
  marked: ["markedjs/marked"],
  p5js: ["processing/p5.js"],
  react_pdf: ["diegomura/react-pdf"],
  jest: ["babel/babel", "facebook/docusaurus"],
  vitest: ["vuejs/core"],
  immutable_js: ["immutable-js/immutable-js"],
  tap: ["mrdoob/three.js", "axios/axios"],
  karma: ["preactjs/preact"],
  next: ["alibaba-fusion/next"],
  bpmn_js: ["bpmn-io/bpmn-js"],
  carbon: ["carbon-design-system/carbon", "prettier/prettier", "scratchfoundation/scratch-gui"],
  cypress: ["cypress-io/cypress"],
  emotion: ["emotion-js/emotion"],
  eslint: ["eslint/eslint"],
  lighthouse: ["GoogleChrome/lighthouse"],
  grommet: ["grommet/grommet"],
  highlightjs: ["highlightjs/highlight.js"],
  openlayers: ["openlayers/openlayers"],
  prismjs: ["PrismJS/prism"],
  quarto_cli: ["quarto-dev/quarto-cli"],
  redis: ["redis/redis", "valkey-io/valkey"],
  jq: ["jqlang/jq"],
  doctest: ["nlohmann/json"],
  micropython_test: ["micropython/micropython"],
  googletest: ["fmtlib/fmt"],
  gotest: ["caddyserver/caddy", "hashicorp/terraform", "prometheus/prometheus", "gohugoio/hugo", "gin-gonic/gin"],
  maven: ["google/gson", "apache/druid", "javaparser/javaparser"],
  ant: ["projectlombok/lombok"],
  gradle_custom: ["apache/lucene", "reactivex/rxjava"],
  phpunit: ["phpoffice/phpspreadsheet", "laravel/framework", "php-cs-fixer/php-cs-fixer", "briannesbitt/carbon"],
  jekyll: ["jekyll/jekyll"],
  ruby_unit: ["fluent/fluentd", "faker-ruby/faker"],
  rspec_transformed_json: ["fastlane/fastlane", "jordansissel/fpm", "rubocop/rubocop"],
  cargo: [
    "burntsushi/ripgrep",
    "sharkdp/bat",
    "astral-sh/ruff",
    "tokio-rs/tokio",
    "uutils/coreutils",
    "nushell/nushell",
    "tokio-rs/axum",
  ],
};

/** Repository -> name of its parser. */
export const PARSER_OF: ReadonlyMap<string, string> = new Map([
  ...Object.entries(REPOSITORIES).flatMap(([parser, repositories]) =>
    repositories.map((repository) => [repository, `parse_log_${parser}`] as const),
  ),
  ["plotly/plotly.js", "parse_plotly_js"],
]);

/** `FAIL_ONLY_REPOS` of `harness/constants`. */
const FAIL_ONLY_4 = ["chartjs/Chart.js", "processing/p5.js", "markedjs/marked"];
const FAIL_ONLY = [...FAIL_ONLY_4, "bpmn-io/bpmn-js", "openlayers/openlayers", "eslint/eslint"];

/** How a release grades the tasks of a repository where the row does not say; undefined: it does not know the repository. */
export function gradingOf(
  rule: OfficialRule,
  repository: string,
): { readonly parser: string; readonly evalType: EvalType } | undefined {
  const parser = PARSER_OF.get(repository);
  const is4 = rule === "swebench@4.1.0";
  if (parser === undefined || (is4 && !PARSERS_4.has(parser))) return undefined;
  const failOnly = (is4 ? FAIL_ONLY_4 : FAIL_ONLY).includes(repository);
  return { parser, evalType: failOnly ? "fail_only" : "pass_and_fail" };
}
