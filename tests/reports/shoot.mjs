// Takes pictures of pages as people see them.
//   node shoot.mjs CHROMIUM FOLDER MODE… -- PAGE…
// FOLDER gets NAME-MODE.png of each page NAME.html. HEIGHT: so many pixels of a page at most; nothing: the whole page.
import { createRequire } from "node:module";
import { basename, resolve } from "node:path";

const require = createRequire(`${process.env.NODE_PATH}/`);
const { chromium } = require("playwright-core");

const [executablePath, folder, ...rest] = process.argv.slice(2);
const middle = rest.indexOf("--");
const MODES = {
  light: { viewport: { width: 1180, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1180, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light" },
};

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
for (const mode of rest.slice(0, middle)) {
  const context = await browser.newContext({ ...MODES[mode], reducedMotion: "reduce" });
  for (const path of rest.slice(middle + 1)) {
    const page = await context.newPage();
    await page.goto(`file://${resolve(path)}`);
    const { width } = MODES[mode].viewport;
    const whole = await page.evaluate(() => document.documentElement.scrollHeight);
    const height = Math.min(whole, Number(process.env.HEIGHT ?? whole));
    await page.setViewportSize({ width, height });
    await page.screenshot({ path: `${folder}/${basename(path, ".html")}-${mode}.png` });
    await page.close();
  }
  await context.close();
}
await browser.close();
