/*
 * Search in the pages, by the index that was made with them. It sends no request, so it works from a folder.
 */
(() => {
  const { MiniSearch, siteIndex, siteRoot } = window;
  const search = MiniSearch.loadJSON(siteIndex.json, siteIndex.options);
  const input = document.getElementById('query');
  const found = document.getElementById('found');
  const count = document.getElementById('count');
  const results = document.getElementById('results');
  const MOST = 12;

  const item = ({ href, heading, title }) => {
    const link = document.createElement('a');
    link.href = siteRoot + href;
    link.textContent = heading;
    const page = document.createElement('p');
    page.textContent = title;
    const entry = document.createElement('li');
    entry.append(link, page);
    return entry;
  };

  const show = () => {
    const query = input.value.trim();
    const hits = search.search(query, {
      prefix: true,
      fuzzy: 0.2,
      combineWith: 'AND',
      boost: { heading: 3, title: 2 },
    });
    found.hidden = query === '';
    count.textContent = hits.length === 0 ? 'Nothing found' : `${hits.length} found`;
    results.replaceChildren(...hits.slice(0, MOST).map(item));
  };

  input.addEventListener('input', show);
  input.form.addEventListener('submit', (event) => {
    event.preventDefault();
    const first = results.querySelector('a');
    if (first) first.click();
  });
})();
