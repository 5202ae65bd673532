// Opens one link in OHIF in headless Chromium and prints, as JSON, what OHIF decoded: the production build exposes its
// services and cornerstone's cache, so nothing is guessed from pixels.
import fs from 'fs';
import os from 'os';
import path from 'path';

const request = JSON.parse(process.argv[2]);
const { chromium } = await import(request.driver);
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'ohif-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: request.chromium,
  headless: true,
  viewport: { width: 1400, height: 800 },
  args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist', '--disable-quic',
    '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = context.pages()[0];
const outside = new Set();
const errors = [];
page.on('request', (r) => { const host = new URL(r.url()).hostname; if (host && host !== '127.0.0.1') outside.add(host); });
page.on('pageerror', (e) => errors.push(e.message));

const wanted = new URL(request.url).searchParams.get('SeriesInstanceUIDs').split(',').length;

await page.goto(request.url);
await page.waitForFunction(() => window.services?.displaySetService?.getActiveDisplaySets?.().length > 0, null, { timeout: 60000 });
// What OHIF has decoded so far, and whether that is all: every wanted display set is there, every label map image lies in
// the cache, every report is read.
const read = (count) => {
  const { segmentationService, displaySetService } = window.services;
  const sets = displaySetService.getActiveDisplaySets();
  let missing = Math.max(count - sets.length, 0); // the images can be there before their results
  const segmentations = segmentationService.getSegmentations().map((s) => {
    const held = window.cornerstoneTools.segmentation.state.getSegmentation(s.segmentationId || s.id);
    const voxels = {};
    for (const id of held.representationData.Labelmap.imageIds) {
      const image = window.cornerstone.cache.getImage(id);
      if (!image) { missing += 1; continue; }
      const data = image.voxelManager ? image.voxelManager.getScalarData() : image.getPixelData();
      for (const value of data) if (value) voxels[value] = (voxels[value] || 0) + 1;
    }
    const viewport = window.services.viewportGridService.getActiveViewportId();
    const colors = {};
    for (const x of Object.values(s.segments)) {
      try {
        colors[x.segmentIndex] = Array.from(segmentationService.getSegmentColor(viewport, s.segmentationId || s.id, x.segmentIndex)).slice(0, 3);
      } catch { missing += 1; } // not drawn in the viewport yet
    }
    return { label: s.label, colors, segments: Object.fromEntries(Object.values(s.segments).map((x) => [x.segmentIndex, x.label])), voxels };
  });
  if (sets.some((d) => d.Modality === 'SEG') && !segmentations.length) missing += 1;
  const reports = sets.filter((d) => d.Modality === 'SR').map((d) => {
    const measurements = d.measurements || [];
    if (!d.isLoaded && d.isImagingMeasurementReport && !measurements.length) missing += 1;
    return {
      measurementReport: Boolean(d.isImagingMeasurementReport),
      measurements: measurements.map((m) => ({ tracking: m.TrackingIdentifier, labels: (m.labels || []).map((l) => `${l.label}: ${l.value}`), loaded: Boolean(m.loaded) })),
    };
  });
  return { segmentations, reports, text: document.body.innerText, missing };
};

// Not a fixed wait: a busy machine decodes for long. It is over when nothing is missing and nothing changed for two seconds.
let seen = await page.evaluate(read, wanted);
const deadline = Date.now() + 80000;
for (let unchanged = 0; unchanged < 4 && Date.now() < deadline;) {
  await page.waitForTimeout(500);
  const now = await page.evaluate(read, wanted);
  unchanged = !now.missing && JSON.stringify(now) === JSON.stringify(seen) ? unchanged + 1 : 0;
  seen = now;
}
for (const name of ['Skip all', 'Not now', 'No']) {
  const button = page.getByText(name, { exact: true });
  if (await button.count()) { await button.first().click().catch(() => {}); break; }
}
if (request.middle) {
  await page.evaluate(() => {
    const { viewportGridService, cornerstoneViewportService } = window.services;
    const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
    return viewport.setImageIdIndex(viewport.getImageIds().length >> 1);
  });
}
await page.waitForTimeout(500);
await page.screenshot({ path: request.picture });
console.log(JSON.stringify({ ...seen, errors, outside: [...outside] }));
await context.close();
fs.rmSync(profile, { recursive: true, force: true });
