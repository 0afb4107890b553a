// Holds pages against the HTML standard. Prints what is wrong as JSON: [page, rule, place, words] each.
//   node validate.mjs PAGE…
import { createRequire } from "node:module";
import { basename } from "node:path";

const require = createRequire(`${process.env.NODE_PATH}/`);
const { FileSystemConfigLoader, HtmlValidate } = require("html-validate");

const config = { root: true, extends: ["html-validate:standard", "html-validate:document"] };
const validator = new HtmlValidate(new FileSystemConfigLoader([], config));
const problems = [];
for (const page of process.argv.slice(2)) {
  const report = await validator.validateFile(page);
  for (const { messages } of report.results) {
    for (const { ruleId, line, column, message } of messages) {
      problems.push([basename(page), ruleId, `${line}:${column}`, message]);
    }
  }
}
console.log(JSON.stringify(problems));
