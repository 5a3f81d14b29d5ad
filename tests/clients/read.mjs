// What does covjson-reader make of CoverageJSON at some addresses? Asked on standard input, answered on standard output.

import { createRequire } from "node:module";

// The reader is of browsers: it fetches by XMLHttpRequest, and reports how long that took.
console.log = () => {};
globalThis.window = globalThis;
globalThis.XMLHttpRequest = class {
  headers = {};
  listeners = {};

  open(method, url) {
    this.request = { method, url };
  }

  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  addEventListener(name, listener) {
    this.listeners[name] = listener;
  }

  getAllResponseHeaders() {
    return [...this.answer.headers].map(([name, value]) => `${name}: ${value}`).join("\r\n");
  }

  async send() {
    const { method, url } = this.request;
    try {
      this.answer = await fetch(url, { method, headers: this.headers });
      this.response = await this.answer.arrayBuffer();
    } catch {
      this.listeners.error();
      return;
    }
    this.status = this.answer.status;
    this.listeners.load();
  }
};

const { read } = createRequire(`${process.argv[2]}/`)("covjson-reader");

// Every value of a range, as `get` gives it, in the order of the axes of its shape.
function values(range) {
  let places = [{}];
  for (const [axis, size] of range.shape) {
    places = places.flatMap((place) => Array.from({ length: size }, (_, index) => ({ ...place, [axis]: index })));
  }
  return places.map((place) => range.get(place));
}

async function plain(coverage) {
  const domain = await coverage.loadDomain();
  const axes = {};
  for (const [name, { values: array, coordinates }] of domain.axes) {
    axes[name] = { values: Array.from(array), coordinates };
  }
  const ranges = {};
  for (const name of coverage.parameters.keys()) {
    const range = await coverage.loadRange(name);
    ranges[name] = {
      dataType: range.dataType, axisNames: [...range.shape.keys()], shape: [...range.shape.values()], values: values(range),
    };
  }
  const units = Object.fromEntries([...coverage.parameters].map(([name, { unit }]) => [name, unit?.label?.en ?? null]));
  return { domainType: coverage.domainType.split("#")[1], loaded: coverage.loaded, units, domain: { axes }, ranges };
}

let input = "";
for await (const part of process.stdin) {
  input += part;
}
const answers = [];
for (const { url, subset } of JSON.parse(input)) {
  const found = await read(url);
  const coverages = found.type === "CoverageCollection" ? found.coverages : [found];
  const chosen = subset ? [await coverages[0].subsetByValue(subset)] : coverages;
  answers.push({ type: found.type, coverages: await Promise.all(chosen.map(plain)) });
}
process.stdout.write(JSON.stringify(answers));
