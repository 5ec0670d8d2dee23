// Surface viewer: drag to rotate, wheel to zoom, shift and drag to move. WebGL 2, no library.
(function () {
  const scene = JSON.parse(document.getElementById("scene").textContent);
  const canvas = document.getElementById("surface");
  const gl = canvas.getContext("webgl2", {antialias: true});
  const status = document.getElementById("surface-status");
  if (!gl) { status.textContent = "This browser has no WebGL 2: the surface is not shown."; return; }
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const floats = text => new Float32Array(bytes(text).buffer);
  const position = floats(scene.position);
  const triangles = new Uint32Array(bytes(scene.triangles).buffer);

  const low = [1e9, 1e9, 1e9], high = [-1e9, -1e9, -1e9];
  for (let i = 0; i < position.length; i++) {
    low[i % 3] = Math.min(low[i % 3], position[i]);
    high[i % 3] = Math.max(high[i % 3], position[i]);
  }
  const centre = low.map((v, k) => 0.5 * (v + high[k]));
  const extent = Math.max(high[0] - low[0], high[1] - low[1], high[2] - low[2], 1e-6);

  const program = (vertex, fragment) => {
    const made = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, "#version 300 es\nprecision highp float;\n" + text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw gl.getShaderInfoLog(shader);
      gl.attachShader(made, shader);
    }
    gl.bindAttribLocation(made, 0, "position");
    gl.bindAttribLocation(made, 1, "colour");
    gl.linkProgram(made);
    return made;
  };
  const project = "uniform mat4 view; uniform vec3 centre; uniform float height;\n" +
    "vec3 placed(vec3 p) { p -= centre; p.z *= height; return p; }\n";
  const shaded = program(
    "in vec3 position; in vec3 colour; out vec3 tint; out vec3 place;\n" + project +
    "void main() { tint = colour; vec4 p = view * vec4(placed(position), 1.0); place = p.xyz;" +
    " gl_Position = vec4(p.xy, p.z * 0.1, 1.0); }",
    "in vec3 tint; in vec3 place; out vec4 result;\n" +
    "void main() { vec3 n = normalize(cross(dFdx(place), dFdy(place)));" +
    " float light = 0.35 + 0.65 * abs(dot(n, normalize(vec3(-0.4, 0.6, -0.7))));" +
    " result = vec4(tint * light, 1.0); }");
  const plain = program(
    "in vec3 position; uniform vec3 ink; out vec3 tint;\n" + project +
    "void main() { tint = ink; vec4 p = view * vec4(placed(position), 1.0);" +
    " gl_Position = vec4(p.xy, p.z * 0.1 - 0.002, 1.0); }",
    "in vec3 tint; out vec4 result; void main() { result = vec4(tint, 1.0); }");

  const buffer = (target, data) => {
    const made = gl.createBuffer();
    gl.bindBuffer(target, made);
    gl.bufferData(target, data, gl.STATIC_DRAW);
    return made;
  };
  const vertices = buffer(gl.ARRAY_BUFFER, position);
  const colours = scene.layers.map(layer => buffer(gl.ARRAY_BUFFER, bytes(layer.colours)));
  const faces = buffer(gl.ELEMENT_ARRAY_BUFFER, triangles);
  const arrows = scene.arrows.map(group => {
    const data = floats(group.segments);
    return {data: buffer(gl.ARRAY_BUFFER, data), count: data.length / 3};
  });
  const a = 0.18 * extent, o = [low[0], low[1], high[2]];
  const axes = [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map(v =>
    buffer(gl.ARRAY_BUFFER, new Float32Array([...o, ...o.map((c, k) => c + a * v[k])])));

  let turn = -0.5, lift = 0.9, zoom = 1.8 / extent, shift = [0, 0], layer = 0;
  const height = document.getElementById("surface-height");
  const viewMatrix = () => {
    const [ct, st, cl, sl] = [Math.cos(turn), Math.sin(turn), Math.cos(lift), Math.sin(lift)];
    const aspect = canvas.width / canvas.height, f = zoom;
    // x right, y away from the viewer, z up; then seen from above by the angle `lift`.
    const right = [ct, st, 0], away = [-st, ct, 0];
    const up = [away[0] * sl, away[1] * sl, cl], depth = [away[0] * cl, away[1] * cl, -sl];
    const row = (v, s) => v.map(x => x * s);
    const r = [row(right, f / aspect), row(up, f), row(depth, f)];
    return new Float32Array([r[0][0], r[1][0], r[2][0], 0, r[0][1], r[1][1], r[2][1], 0,
      r[0][2], r[1][2], r[2][2], 0, shift[0], shift[1], 0, 1]);
  };
  const uniforms = made => {
    gl.useProgram(made);
    gl.uniformMatrix4fv(gl.getUniformLocation(made, "view"), false, viewMatrix());
    gl.uniform3fv(gl.getUniformLocation(made, "centre"), centre);
    gl.uniform1f(gl.getUniformLocation(made, "height"), parseFloat(height.value));
  };
  const lines = (data, count, ink) => {
    gl.bindBuffer(gl.ARRAY_BUFFER, data);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
    gl.uniform3fv(gl.getUniformLocation(plain, "ink"), ink);
    gl.drawArrays(gl.LINES, 0, count);
  };
  const draw = () => {
    const scale = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(1, 1, 1, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    uniforms(shaded);
    gl.enableVertexAttribArray(0);
    gl.bindBuffer(gl.ARRAY_BUFFER, vertices);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
    gl.enableVertexAttribArray(1);
    gl.bindBuffer(gl.ARRAY_BUFFER, colours[layer]);
    gl.vertexAttribPointer(1, 3, gl.UNSIGNED_BYTE, true, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faces);
    gl.drawElements(gl.TRIANGLES, triangles.length, gl.UNSIGNED_INT, 0);
    gl.disableVertexAttribArray(1);
    uniforms(plain);
    axes.forEach((data, k) => lines(data, 2, [[0.8, 0.1, 0.1], [0.1, 0.6, 0.1], [0.1, 0.2, 0.9]][k]));
    arrows.forEach((group, k) => {
      if (document.getElementById("arrows-" + k).checked) lines(group.data, group.count, [0.95, 0.3, 0.05]);
    });
    status.textContent = "";
  };
  const later = () => requestAnimationFrame(draw);
  canvas.addEventListener("pointerdown", e => canvas.setPointerCapture(e.pointerId));
  canvas.addEventListener("pointermove", e => {
    if (!e.buttons) return;
    if (e.shiftKey || e.buttons === 4) {
      shift[0] += 2 * e.movementX / canvas.clientWidth;
      shift[1] -= 2 * e.movementY / canvas.clientHeight;
    } else {
      turn += 0.008 * e.movementX;
      lift = Math.max(-1.57, Math.min(1.57, lift + 0.008 * e.movementY));
    }
    later();
  });
  canvas.addEventListener("wheel", e => {
    e.preventDefault();
    zoom *= Math.exp(-0.001 * e.deltaY);
    later();
  }, {passive: false});
  height.addEventListener("input", later);
  const legend = document.getElementById("surface-legend");
  const choose = index => {
    layer = index;
    const chosen = scene.layers[index];
    legend.className = chosen.signed ? "legend signed" : "legend";
    document.getElementById("legend-low").textContent = chosen.limits[0];
    document.getElementById("legend-high").textContent = chosen.limits[1];
    later();
  };
  const select = document.getElementById("surface-layer");
  select.addEventListener("change", () => choose(select.selectedIndex));
  scene.arrows.forEach((_, k) =>
    document.getElementById("arrows-" + k).addEventListener("change", later));
  window.addEventListener("resize", later);
  choose(0);
  draw();
})();
