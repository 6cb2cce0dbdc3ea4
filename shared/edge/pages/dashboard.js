'use strict';
// Rows of tables: added, taken out and moved here; without a script the server does it.
for (const table of document.querySelectorAll('table[data-rows]')) {
  const body = table.tBodies[0];
  const add = table.closest('.rows').querySelector('button[value^="more "]');
  if (!add) continue;
  const blank = body.rows[body.rows.length - 1].cloneNode(true);
  for (const element of blank.querySelectorAll('input:not([type=checkbox]), textarea')) element.value = '';
  for (const element of blank.querySelectorAll('[type=checkbox]')) element.checked = false;

  function numbered() {
    [...body.rows].forEach((row, place) => {
      for (const element of row.querySelectorAll('[name]')) {
        for (const name of ['name', 'id', 'value']) {
          if (name === 'value' && element.name !== 'rows') continue;
          if (element[name]) element[name] = element[name].replace(/\[\d+\]/, `[${place}]`);
        }
        const label = element.getAttribute('aria-label');
        if (label) element.setAttribute('aria-label', label.replace(/(row) \d+/i, `$1 ${place + 1}`));
      }
    });
  }

  add.addEventListener('click', (event) => {
    event.preventDefault();
    const row = blank.cloneNode(true);
    body.append(row);
    numbered();
    row.querySelector('input, select, textarea').focus();
  });
  body.addEventListener('click', (event) => {
    const button = event.target.closest('button[name=rows]');
    if (!button) return;
    event.preventDefault();
    const row = button.closest('tr');
    if (button.value.startsWith('drop ')) {
      const beside = row.nextElementSibling || row.previousElementSibling;
      row.remove();
      (beside ? beside.querySelector('input, select, textarea') : add).focus();
    } else if (row.previousElementSibling) {
      row.previousElementSibling.before(row);
      button.focus();
    }
    numbered();
    table.dispatchEvent(new Event('input', {bubbles: true}));
  });
}

// The week: painted as its hours are written, and written as it is painted.
const DAY = 1440;
const ROW = /^([01]?\d|2[0-4]):([0-5]\d)\s*[-–]\s*([01]?\d|2[0-4]):([0-5]\d)$/;

function read(text) {
  const spans = [];
  for (const part of text.split(/[,;\n]/).map((each) => each.trim()).filter(Boolean)) {
    const found = ROW.exec(part);
    if (!found) return null;
    const [first, last] = [Number(found[1]) * 60 + Number(found[2]), Number(found[3]) * 60 + Number(found[4])];
    if (first === last || first >= DAY || last > DAY) return null;
    spans.push([first, last > first ? last : last + DAY]);
  }
  return spans;
}

function clock(minute) {
  const shown = minute > DAY ? minute - DAY : minute;
  return `${String(Math.floor(shown / 60)).padStart(2, '0')}:${String(shown % 60).padStart(2, '0')}`;
}

function written(spans) {
  const joined = [];
  for (const [first, last] of spans.filter((each) => each[1] > each[0]).sort((one, other) => one[0] - other[0])) {
    const before = joined[joined.length - 1];
    if (before && first <= before[1]) before[1] = Math.max(before[1], last);
    else joined.push([first, last]);
  }
  return joined.map(([first, last]) => `${clock(first)}-${clock(last)}`).join(', ');
}

for (const table of document.querySelectorAll('table[data-week]')) {
  const days = [...table.tBodies[0].rows].map((row) => [row.querySelector('input'), [...row.querySelectorAll('.hour')]]);

  function paint() {
    const week = days.map(([input]) => read(input.value) || []);
    days.forEach(([, cells], day) => {
      const spans = [...week[day], ...week[(day + 6) % 7].map(([first, last]) => [first - DAY, last - DAY])];
      cells.forEach((cell, hour) => {
        const open = spans.reduce((sum, [first, last]) =>
          sum + Math.max(0, Math.min(last, hour * 60 + 60) - Math.max(first, hour * 60)), 0);
        cell.classList.toggle('open', open >= 60);
        cell.classList.toggle('partly', open > 0 && open < 60);
      });
    });
  }

  table.addEventListener('input', paint);
  if (table.closest('fieldset').disabled) continue;
  table.classList.add('live');
  days.forEach(([input, cells]) => cells.forEach((cell, hour) => cell.addEventListener('click', () => {
    const [from, to, spans] = [hour * 60, hour * 60 + 60, read(input.value)];
    if (!spans) return;
    const isOpen = spans.some(([first, last]) => first <= from && to <= last);
    if (!isOpen) input.value = written([...spans, [from, to]]);
    else if (!spans.some(([first, last]) => last > DAY && first <= from)) {
      input.value = written(spans.flatMap(([first, last]) => [[first, Math.min(last, from)], [Math.max(first, to), last]]));
    }
    paint();
  })));
}

// A file is read into the text beside it.
for (const upload of document.querySelectorAll('input[data-into]')) {
  upload.closest('[hidden]').hidden = false;
  upload.addEventListener('change', async () => {
    if (upload.files[0]) document.getElementById(upload.dataset.into).value = await upload.files[0].text();
  });
}

// What was written is not lost by a slip.
for (const form of document.querySelectorAll('form.settings')) {
  let touched = form.querySelector('[role=alert]') !== null;
  form.addEventListener('input', () => { touched = true; });
  form.addEventListener('submit', () => { touched = false; });
  window.addEventListener('beforeunload', (event) => { if (touched) event.preventDefault(); });
}
