/** The forms in which a secret may stand in a text. */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret)
  return [
    secret,
    JSON.stringify(secret).slice(1, -1),
    JSON.stringify(JSON.stringify(secret)).slice(3, -3),
    encodeURIComponent(secret),
    encodeURI(secret),
    new URLSearchParams({ x: secret }).toString().slice(2),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
  ]
}

/**
 * Where secrets stand, in whatever form.
 *
 * @param secrets by what they are
 * @param texts by where they come from
 * @returns the secret's name, the text's, and what stands around it
 */
export function findSecrets(secrets: ReadonlyMap<string, string>, texts: ReadonlyMap<string, string>): string[] {
  return [...texts].flatMap(([place, text]) =>
    [...secrets].flatMap(([name, secret]) => {
      const at = formsOf(secret)
        .map((form) => text.indexOf(form))
        .find((index) => index !== -1)
      return at === undefined ? [] : [`${name} in ${place}: …${text.slice(Math.max(0, at - 300), at + 120)}…`]
    }),
  )
}
