'use strict';
for (const block of document.querySelectorAll('.code')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'second';
  button.textContent = 'Copy';
  button.setAttribute('aria-label', 'Copy ' + (block.dataset.what || 'this'));
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(block.querySelector('pre').textContent);
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  });
  block.append(button);
}

const form = document.getElementById('try-form');
const shown = document.getElementById('try-shown');
const posts = document.getElementById('try-posts');

function lead() {
  return Object.fromEntries([...new FormData(form)].filter(([, value]) => value.trim() !== ''));
}

function show(title, text) {
  const heading = document.createElement('h3');
  heading.textContent = title;
  const block = document.createElement('pre');
  block.tabIndex = 0;
  block.textContent = text;
  shown.append(heading, block);
  return block;
}

async function send(verb, values) {
  const url = form.dataset[verb];
  show(verb.toUpperCase() + ' request', `POST ${url}\nContent-Type: application/json\n\n${JSON.stringify(values, null, 2)}`);
  const answer = show(verb.toUpperCase() + ' answer', '…');
  try {
    const response = await fetch(url, {
      method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(values),
    });
    const text = await response.text();
    let body = {};
    let readable = text;
    try {
      body = JSON.parse(text);
      readable = JSON.stringify(body, null, 2);
    } catch { /* a gateway's answer can be anything: it is shown as it is */ }
    answer.textContent = `HTTP ${response.status}\n\n${readable}`;
    return body;
  } catch (fault) {
    answer.textContent = `There was no answer: ${fault.message}`;
    return {};
  }
}

function offer(label, values) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = label;
  button.addEventListener('click', async () => {
    for (const each of posts.children) each.disabled = true;
    await send('post', {...lead(), ...values});
    for (const each of posts.children) each.disabled = false;
  });
  posts.append(button);
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  shown.replaceChildren();
  posts.replaceChildren();
  const answer = await send('ping', lead());
  if (answer.try_all_buyers_ping_id) {
    offer('POST: try all buyers', {ping_id: answer.try_all_buyers_ping_id});
    for (const buyer of answer.buyers || []) {
      if (buyer.ping_id) offer(`POST: ${buyer.name || 'buyer ' + (buyer.buyer_id || buyer.id || '')}`, {ping_id: buyer.ping_id});
    }
  }
});
form.hidden = false;
document.getElementById('try-without').remove();
