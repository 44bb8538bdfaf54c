// What a page does with other origins' resources; each function says what the page learns of it.
'use strict';

// Resolves to the type of the first of these events.
const firstOf = (target, ...types) => new Promise((resolve) => {
  for (const type of types) target.addEventListener(type, () => resolve(type), { once: true });
});

// fetch() to its end.
async function read(url, init) {
  try {
    const response = await fetch(url, init);
    const { status, type, redirected } = response;
    const text = await response.text();
    return { status, type, redirected, text, fields: Object.fromEntries(response.headers) };
  } catch (error) {
    return { error: error.name };
  }
}

// The first pixel as numbers, or the name of the error that says the canvas is tainted.
function firstPixel(source) {
  const context = document.createElement('canvas').getContext('2d');
  context.drawImage(source, 0, 0);
  try {
    return [...context.getImageData(0, 0, 1, 1).data];
  } catch (error) {
    return error.name;
  }
}

// crossOrigin: null for an element without the attribute.
async function image(url, crossOrigin) {
  const element = new Image();
  element.crossOrigin = crossOrigin;
  element.src = url;
  const event = await firstOf(element, 'load', 'error');
  return { event, pixel: event === 'load' ? firstPixel(element) : null };
}

// How wide `A` is in a font, in em; the fallback font is nowhere near LETTER_EM.
function letterWidth(family) {
  const context = document.createElement('canvas').getContext('2d');
  context.font = `10px ${family}, serif`;
  return Math.round(context.measureText('A').width / 10);
}

// <script>: the event, what it left behind, and what window.onerror was told of its exception.
async function script(url, attributes) {
  globalThis.ran = null;
  let told = null;
  const listen = (event) => {
    told = { message: event.message, line: event.lineno, from: event.filename !== '' };
  };
  window.addEventListener('error', listen);
  const element = document.createElement('script');
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.src = url;
  document.body.append(element);
  const event = await firstOf(element, 'load', 'error');
  window.removeEventListener('error', listen);
  return { event, ran: globalThis.ran, told };
}

// <link rel=stylesheet>: the event, whether it styles, and whether its rules may be read.
async function style(url, crossOrigin) {
  const link = document.createElement('link');
  link.rel = 'stylesheet';
  link.crossOrigin = crossOrigin;
  link.href = url;
  document.head.append(link);
  const event = await firstOf(link, 'load', 'error');
  const width = getComputedStyle(document.getElementById('styled')).width;
  let rules = null;
  if (event === 'load') {
    try {
      rules = link.sheet.cssRules.length;
    } catch (error) {
      rules = error.name;
    }
  }
  link.remove();
  return { event, styled: width === '321px', rules };
}

// The first pixel of a video once there is one: `loadeddata` may come before the first frame can be
// drawn, and a canvas on which nothing was drawn is neither painted nor tainted.
async function paintedPixel(video) {
  for (;;) {
    const pixel = firstPixel(video);
    if (!Array.isArray(pixel) || pixel[3] !== 0) return pixel;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

// <audio> or <video> until its first data, then to a place if one is given.
async function play(kind, url, crossOrigin, place) {
  const element = document.createElement(kind);
  element.crossOrigin = crossOrigin;
  element.muted = true;
  element.preload = 'auto';
  element.src = url;
  let event = await firstOf(element, 'loadeddata', 'error');
  const pixel = event === 'loadeddata' && kind === 'video' ? await paintedPixel(element) : null;
  if (event === 'loadeddata' && place) {
    element.currentTime = place;
    event = await firstOf(element, 'seeked', 'error');
  }
  const at = Math.round(element.currentTime);
  element.removeAttribute('src');
  element.load();
  return { event, pixel, at };
}

// What a frame learns that has no origin of its own; asked and answered by messages.
async function sandboxed(url) {
  const frame = document.createElement('iframe');
  frame.setAttribute('sandbox', 'allow-scripts');
  frame.srcdoc = `<script>
    fetch(${JSON.stringify(url)}).then((r) => r.status, (e) => e.name)
      .then((verdict) => parent.postMessage({ origin: self.origin, verdict }, '*'));
  </script>`;
  const answer = new Promise((resolve) => {
    window.addEventListener('message', (event) => resolve(event.data), { once: true });
  });
  document.body.append(frame);
  const verdict = await answer;
  frame.remove();
  return verdict;
}

// What Resource Timing says about one fetch.
async function timing(url, init) {
  const entry = new Promise((resolve) => {
    new PerformanceObserver((list, observer) => {
      const found = list.getEntriesByName(url)[0];
      if (found) {
        observer.disconnect();
        resolve(found);
      }
    }).observe({ type: 'resource' });
  });
  await read(url, init);
  const { requestStart, responseStart, serverTiming } = await entry;
  return {
    phases: requestStart > 0 && responseStart >= requestStart,
    server: serverTiming.map((one) => one.name),
  };
}

// A second of red video, recorded here: this browser can decode what it encodes. Base64.
async function recordClip() {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 64;
  const context = canvas.getContext('2d');
  const recorder = new MediaRecorder(canvas.captureStream(), { mimeType: 'video/webm;codecs=vp8' });
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.start();
  for (let frame = 0; frame < 8; frame += 1) {
    context.fillStyle = '#f00';
    context.fillRect(0, 0, 64, 64);
    context.fillStyle = '#e00';
    context.fillRect(32 + frame, 32, 1, 1);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  const stopped = firstOf(recorder, 'stop');
  recorder.stop();
  await stopped;
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return btoa(String.fromCharCode(...bytes));
}
