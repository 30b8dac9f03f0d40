"use strict";
// Draws the charts of the page, and lets a pointer read and zoom the strips of the timeline.
(() => {
  const options = { actions: false, renderer: "svg", tooltip: { theme: "custom", offsetX: 12, offsetY: 12 } };

  const draw = (place) => {
    const spec = JSON.parse(document.getElementById(place.id.replace("chart-", "spec-")).textContent);
    return vegaEmbed(place, spec, options).then((result) => result.view);
  };

  // paper is narrower than the screen: draw anew near its width, or the text would shrink with the drawing;
  // the strips of the timeline may shrink a little, so that all of them fit on one page
  const fitPaper = (figure, views) => {
    const strips = figure.classList.contains("timeline");
    const heights = views.map((view) => view.height());
    // flat enough for two rows of charts on a page
    const fit = (view) => (strips ? view.width(840) : view.width(300).height(Math.min(150, view.height()))).run();
    addEventListener("beforeprint", () => views.forEach(fit));
    addEventListener("afterprint", () => {
      if (!strips) views.forEach((view, i) => view.height(heights[i]).run());
      dispatchEvent(new Event("resize"));
    });
  };

  // all time axes of the page show the same part of the run
  const zooms = [];

  const pick = (figure, views) => {
    const choice = figure.querySelector(".pick select");
    const show = () => views.forEach((view) => view.signal("picked", choice.value).runAsync());
    choice.addEventListener("change", show);
    if (choice.value) show(); // a browser that comes back to the page remembers what was chosen
  };

  const readTimeline = (figure, views) => {
    const panels = figure.querySelector(".panels");
    const output = figure.querySelector("output");
    const seeAll = figure.querySelector("button");
    const heads = [...figure.querySelectorAll("thead th")].map((cell) => cell.textContent);
    const rows = figure.querySelectorAll("tbody tr");
    const [begin, end] = [views[0].signal("t0"), views[0].signal("t1")];
    const binS = Number(figure.dataset.binS);
    const hint = `${rows.length ? "Point at the strips to read them; drag" : "Drag"} over them to zoom.`;
    const cursor = panels.appendChild(Object.assign(document.createElement("div"), { className: "cursor", hidden: true }));
    const chosen = panels.appendChild(Object.assign(document.createElement("div"), { className: "chosen", hidden: true }));
    let dragFrom = null;
    output.textContent = hint;

    const left = () => views[0].container().getBoundingClientRect().left + views[0].origin()[0];
    const timeAt = (clientX) => {
      const scale = views[0].scale("x");
      const [from, to] = scale.range();
      return scale.invert(Math.min(Math.max(clientX - left(), from), to));
    };
    const place = (element, fromX, toX) => {
      const zero = panels.getBoundingClientRect().left;
      element.hidden = false;
      element.style.left = `${fromX - zero}px`;
      if (toX !== undefined) element.style.width = `${toX - fromX}px`;
    };
    const xOf = (t) => left() + views[0].scale("x")(t);
    const read = (t) => {
      const row = rows[Math.min(rows.length - 1, Math.max(0, Math.floor((t - begin) / binS)))];
      if (!row) return;
      output.replaceChildren();
      [...row.cells].forEach((cell, i) => {
        const value = document.createElement("b");
        value.textContent = cell.textContent;
        output.append(i ? ` · ${heads[i]} ` : `${heads[i]} `, value);
      });
    };
    zooms.push((from, to) => {
      views.forEach((view) => view.signal("t0", from).signal("t1", to).runAsync());
      seeAll.hidden = from === begin && to === end;
    });
    const zoom = (from, to) => zooms.forEach((each) => each(from, to));

    panels.addEventListener("pointermove", (event) => {
      const t = timeAt(event.clientX);
      place(cursor, xOf(t));
      if (dragFrom !== null) place(chosen, xOf(Math.min(t, dragFrom)), xOf(Math.max(t, dragFrom)));
      read(t);
    });
    panels.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button === 0) dragFrom = timeAt(event.clientX);
    });
    addEventListener("pointerup", (event) => {
      if (dragFrom === null) return;
      const [from, to] = [dragFrom, timeAt(event.clientX)].sort((a, b) => a - b);
      dragFrom = null;
      chosen.hidden = true;
      if (xOf(to) - xOf(from) > 8 && to - from > 2 * binS) zoom(from, to);
    });
    panels.addEventListener("pointerleave", () => {
      cursor.hidden = true;
      output.textContent = hint;
    });
    panels.addEventListener("dblclick", () => zoom(begin, end));
    seeAll.addEventListener("click", () => zoom(begin, end));
  };

  for (const figure of document.querySelectorAll("figure")) {
    Promise.all([...figure.querySelectorAll(".chart")].map(draw)).then((views) => {
      fitPaper(figure, views);
      if (figure.classList.contains("timeline")) readTimeline(figure, views);
      if (figure.querySelector(".pick")) pick(figure, views);
      figure.dataset.drawn = "yes";
    });
  }
})();
