/**
 * Bundle the page scripts with their libraries: `node build.mjs TARGET`, run by server/pages/bundle.py in a folder that
 * holds scripts/ and node_modules/. Also writes the coastlines, and the licences of everything that is not ours.
 */
import { cp, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { landRings } from "./scripts/land.js";

const target = process.argv[2];
const atlas = join("node_modules", "world-atlas");
await mkdir(target, { recursive: true });

const { metafile } = await build({
  entryPoints: [join("scripts", "explorer.js"), join("scripts", "answer.js")],
  outdir: target,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  loader: { ".png": "file" },
  assetNames: "[name]",
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});
await cp(join(atlas, "land-110m.json"), join(target, "coastline.json"));
await cp(join(atlas, "land-50m.json"), join(target, "coastline-detail.json"));
await writeFile(join(target, "world.svg"), worldPicture(JSON.parse(await readFile(join(atlas, "land-110m.json"), "utf8"))));
await writeFile(join(target, "THIRD_PARTY_LICENSES.txt"), await licences());

/** The land as one path in degrees, y downwards: the background of the small extent maps. */
function worldPicture(topology) {
  const path = landRings(topology).map((ring) => `M${ring.map(([x, y]) => `${x.toFixed(1)} ${(-y).toFixed(1)}`).join("L")}Z`).join("");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-180 -90 360 180"><path fill="#8a99a8" fill-opacity=".45" d="${path}"/></svg>\n`;
}

/** The licence texts of the packages of which something stands in the bundle. */
async function licences() {
  const packages = new Set(["world-atlas"]);
  for (const path of Object.keys(metafile.inputs)) {
    const match = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
    if (match) packages.add(match[1]);
  }
  const texts = [];
  for (const name of [...packages].sort()) {
    const folder = join("node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file ? await readFile(join(folder, file), "utf8") : "";
    texts.push(`${name} ${version} (${license})\n${"=".repeat(60)}\n${text.trim()}\n`);
  }
  texts.push(`Natural Earth\n${"=".repeat(60)}\nThe coastlines are made with Natural Earth (naturalearthdata.com), which is in the public domain.\n`);
  return texts.join("\n\n");
}
