// The viewer of a result: slices by wheel, keys or slider, segments on and off. Without it, the form asks for one slice.
(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const picture = document.getElementById("picture");
  const slice = document.getElementById("slice");
  const number = document.getElementById("number");
  const boxes = [...viewer.querySelectorAll('input[type="checkbox"]')];
  document.documentElement.classList.add("with-script");

  const address = (index) => {
    const chosen = boxes.filter((box) => box.checked).map((box) => `&segments=${box.value}`).join("");
    return `${viewer.dataset.pictures}${index}.png?segments=0${chosen}`;
  };
  const show = () => {
    const index = slice ? Number(slice.value) : 0;
    picture.src = address(index);
    if (!slice) return;
    number.textContent = `${index + 1} / ${Number(slice.max) + 1}`;
    picture.alt = picture.alt.replace(/^Slice \d+/, `Slice ${index + 1}`);
    for (const next of [index - 1, index + 1]) {
      if (next >= 0 && next <= Number(slice.max)) new Image().src = address(next);
    }
  };
  const move = (by) => {
    slice.value = String(Number(slice.value) + by);
    show();
  };

  boxes.forEach((box) => box.addEventListener("change", show));
  for (const [id, checked] of [["all", true], ["none", false]]) {
    document.getElementById(id).addEventListener("click", () => {
      boxes.forEach((box) => { box.checked = checked; });
      show();
    });
  }
  if (slice) {
    slice.addEventListener("input", show);
    picture.addEventListener("wheel", (event) => {
      event.preventDefault();
      move(Math.sign(event.deltaY));
    }, { passive: false });
  }
})();
