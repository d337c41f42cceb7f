// Runs before the first paint, so that a page never shows in one theme and then in another.
(function () {
  try {
    const theme = localStorage.getItem('theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch {
    // No storage: the system's theme holds.
  }
})();
