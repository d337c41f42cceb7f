// JSON pointers (RFC 6901): a member's name as the token that stands for it, and back.

export function token(name) {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

export function nameOf(text) {
  return text.replaceAll('~1', '/').replaceAll('~0', '~');
}
