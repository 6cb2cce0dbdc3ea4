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
const TIME = /^(?:(noon|midnight)|(\d{1,2})(?:[:.]?([0-5]\d))?\s*(?:([ap])\.?m?\.?)?)$/i;

function minuteOf(text) {
  const found = TIME.exec(text.trim());
  if (!found) return null;
  if (found[1]) return found[1].toLowerCase() === 'noon' ? 720 : 0;
  const half = (found[4] || '').toLowerCase();
  const hour = half ? Number(found[2]) % 12 + (half === 'p' ? 12 : 0) : Number(found[2]);
  return hour * 60 + Number(found[3] || 0);
}

// What is not clear is left to the server.
function read(text) {
  const spans = [];
  for (const part of text.split(/[,;\n&]|\band\b/i).map((each) => each.trim()).filter(Boolean)) {
    const [from, to, more] = part.split(/\s*(?:-|–|—|\bto\b|\buntil\b)\s*/i);
    const [first, last] = [minuteOf(from), minuteOf(to || '')];
    const halves = [from, to || ''].map((side) => /[apn]/i.test(side));
    if (more !== undefined || first === null || last === null || halves[0] !== halves[1]) return null;
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

// The hours of a day with one hour more, or one less; what goes past midnight stays as it is.
function changed(text, hour, open) {
  const [from, to, spans] = [hour * 60, hour * 60 + 60, read(text)];
  if (!spans) return text;
  if (open) return written([...spans, [from, to]]);
  if (spans.some(([first, last]) => last > DAY && first <= from)) return text;
  return written(spans.flatMap(([first, last]) => [[first, Math.min(last, from)], [Math.max(first, to), last]]));
}

for (const week of document.querySelectorAll('[data-week]')) {
  const days = [...week.querySelectorAll('tbody tr')].map((row) => [row.querySelector('input'), [...row.querySelectorAll('.hour')]]);
  const never = week.querySelector('.never input');

  function paint() {
    const hours = days.map(([input]) => read(input.value) || []);
    days.forEach(([, cells], day) => {
      const spans = [...hours[day], ...hours[(day + 6) % 7].map(([first, last]) => [first - DAY, last - DAY])];
      cells.forEach((cell, hour) => {
        const open = spans.reduce((sum, [first, last]) =>
          sum + Math.max(0, Math.min(last, hour * 60 + 60) - Math.max(first, hour * 60)), 0);
        cell.classList.toggle('open', open >= 60);
        cell.classList.toggle('partly', open > 0 && open < 60);
      });
    });
    const some = days.some(([input]) => input.value.trim()) || document.querySelector('[name^="schedule.open_on["][name$=".key"]:not([value=""])');
    week.dataset.state = some ? 'hours' : never.checked ? 'never' : 'always';
  }

  week.addEventListener('input', paint);
  if (week.closest('fieldset').disabled) continue;
  week.classList.add('live');
  week.querySelector('.paint').hidden = false;

  // Dragging opens or closes a rectangle of days and hours, as its first cell was closed or open.
  let drag = null;
  function stroke(day, hour) {
    const [firstDay, lastDay] = [drag.day, day].sort((one, other) => one - other);
    const [firstHour, lastHour] = [drag.hour, hour].sort((one, other) => one - other);
    days.forEach(([input], place) => {
      input.value = drag.was[place];
      if (place < firstDay || place > lastDay) return;
      for (let each = firstHour; each <= lastHour; each += 1) input.value = changed(input.value, each, drag.open);
    });
    week.dispatchEvent(new Event('input', {bubbles: true}));
  }
  days.forEach(([input, cells], day) => cells.forEach((cell, hour) => {
    const begin = () => {
      const spans = read(input.value) || [];
      const open = !spans.some(([first, last]) => first <= hour * 60 && hour * 60 + 60 <= last);
      drag = {day, hour, open, was: days.map(([each]) => each.value)};
      stroke(day, hour);
    };
    cell.addEventListener('pointerdown', (event) => {
      week.dataset.pointer = event.pointerType;
      if (event.pointerType === 'touch' || event.button !== 0) return;
      event.preventDefault();
      begin();
    });
    cell.addEventListener('pointerenter', () => { if (drag) stroke(day, hour); });
    cell.addEventListener('click', () => { if (week.dataset.pointer === 'touch') { begin(); drag = null; } });
  }));
  window.addEventListener('pointerup', () => { drag = null; });
  window.addEventListener('pointercancel', () => { drag = null; });

  week.addEventListener('click', (event) => {
    const button = event.target.closest('button[value^="copy "]');
    if (!button) return;
    event.preventDefault();
    const {value} = document.getElementById(button.value.slice('copy '.length));
    days.slice(0, 5).forEach(([input]) => { input.value = value; });
    week.dispatchEvent(new Event('input', {bubbles: true}));
  });
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
