type Handler = (path: string, send: () => Promise<Response>, init: RequestInit) => Promise<Response>

/** A `fetch` whose every call goes through a function of the test, which may send it on, or not. */
export function fetchThrough(handle: Handler): typeof globalThis.fetch {
  return (input, init = {}) => {
    const { pathname } = new URL(input instanceof Request ? input.url : input)
    return handle(pathname, () => globalThis.fetch(input, init), init)
  }
}
