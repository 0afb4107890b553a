// Looks at pages as people do: light, dark, on a telephone. Prints what is wrong with each as JSON.
//   node browser.mjs ADDRESS CHROMIUM PATH…
// ADDRESS may be a folder, file:///…: its pages must not ask for anything at all.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_PATH}/`);
const { chromium } = require("playwright-core");
const axe = require("axe-core");

const [base, executablePath, ...paths] = process.argv.slice(2);
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const MODES = {
  light: { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light" },
};

const browser = await chromium.launch({ executablePath, args: QUIET });
const problems = [];

function watched(page, where) {
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push([where, "console", message.text()]);
  });
  page.on("pageerror", (error) => problems.push([where, "error", error.message]));
  page.on("dialog", (dialog) => problems.push([where, "dialog", dialog.message()]));
  page.on("request", (request) => {
    const own = base.startsWith("file:") ? page.url() === "about:blank" : request.url().startsWith(base);
    if (!own) problems.push([where, "request", request.url()]);
  });
}

async function look(mode, path) {
  const context = await browser.newContext({ ...MODES[mode], bypassCSP: false });
  const page = await context.newPage();
  const where = `${mode} ${path}`;
  watched(page, where);
  await page.goto(base + path, { waitUntil: "networkidle" });
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  if (beyond > 0) problems.push([where, "wide", `${beyond} pixels beyond the window`]);
  // The page's own policy lets nothing be injected: axe runs in the world of the browser's tools.
  const session = await context.newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const world = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id, worldName: "axe" });
  const contextId = world.executionContextId;
  await session.send("Runtime.evaluate", { contextId, expression: axe.source });
  const found = await session.send("Runtime.evaluate", {
    contextId, awaitPromise: true, returnByValue: true,
    expression: "axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations.map((one) => `${one.id}: ${one.nodes[0].html.slice(0, 200)} ${one.nodes[0].failureSummary}`))",
  });
  if (found.exceptionDetails) problems.push([where, "axe", found.exceptionDetails.exception?.description ?? "failed"]);
  for (const violation of found.result.value ?? []) problems.push([where, "axe", violation]);
  await context.close();
}

async function lives(path) {
  // What changes is asked for again, once each time, and the curves are drawn.
  const context = await browser.newContext(MODES.light);
  const page = await context.newPage();
  const where = `live ${path}`;
  watched(page, where);
  let asked = 0;
  page.on("response", (answer) => { if (answer.url() === base + path) asked += 1; });
  await page.goto(base + path, { waitUntil: "networkidle" });
  const again = () => page.waitForResponse(base + path, { timeout: 20000 });
  const summary = page.locator(".numbers summary").first();
  if (await summary.count()) await summary.click();
  await page.mouse.click(5, 5);
  await again();
  await again();
  if (asked !== 3) problems.push([where, "live", `asked ${asked} times`]);
  if ((await page.locator("#live").count()) !== 1) problems.push([where, "live", "the part is not there once"]);
  if ((await page.locator("h1").count()) !== 1) problems.push([where, "live", "the head is not there once"]);
  if ((await page.locator("[data-plot] canvas").count()) === 0) problems.push([where, "live", "no curve is drawn"]);
  const pause = page.locator("[data-pause]");
  await pause.click();
  if ((await pause.getAttribute("aria-pressed")) !== "true") problems.push([where, "live", "it cannot be paused"]);
  await context.close();
}

async function without(path) {
  const context = await browser.newContext({ ...MODES.light, javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(base + path);
  if (!(await page.locator("svg.plot").first().isVisible())) problems.push([path, "no script", "no curve is there"]);
  if (await page.locator("[data-pause]").isVisible()) problems.push([path, "no script", "a button does nothing"]);
  await context.close();
}

async function logs_in(token) {
  const page = await (await browser.newContext(MODES.light)).newPage();
  await page.goto(`${base}/jobs`);
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL(`${base}/jobs`);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.waitForURL(`${base}/login`);
}

async function acts(path) {
  // A held job is released, and held again.
  const page = await (await browser.newContext(MODES.light)).newPage();
  watched(page, `act ${path}`);
  await page.goto(base + path);
  for (const [name, state] of [["Release", "pending"], ["Hold", "held"]]) {
    await page.getByLabel("Reason").fill("seen in a browser");
    await page.getByRole("button", { name }).click();
    await page.locator(`.kicker .status-${state}`).waitFor();
  }
}

const live = process.env.LIVE;
await Promise.all(Object.keys(MODES).map(async (mode) => { for (const path of paths) await look(mode, path); }));
if (live) {
  await lives(live);
  await without(live);
}
if (process.env.TOKEN) await logs_in(process.env.TOKEN);
if (process.env.ACT) await acts(process.env.ACT);
await browser.close();
console.log(JSON.stringify(problems));
