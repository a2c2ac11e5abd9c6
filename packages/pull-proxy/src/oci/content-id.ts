import type { Digest } from './digest.ts'

declare const privateBrand: unique symbol
/** Content of one upstream that nobody gets through another one: `registry.example/sha256:…`. */
type PrivateId = string & { readonly [privateBrand]: true }

/**
 * What content is known by, in the store, among flights, at the lock server and to peers. Content of upstreams that serve
 * all who reach the proxy is known by its digest alone, whichever of them it came from. Content of an upstream that asks
 * clients for their own credentials is kept apart, in the domain of that upstream: who knows the digest of a private layer
 * could otherwise get it through any other upstream that claims to have it.
 */
export type ContentId = Digest | PrivateId

/** @param domain the upstream's name, which holds no slash; undefined for content that all may read */
export function contentIdOf(digest: Digest, domain: string | undefined): ContentId {
  return domain === undefined ? digest : (`${domain}/${digest}` as PrivateId)
}

export function digestOfId(id: ContentId): Digest {
  return id.slice(id.lastIndexOf('/') + 1) as Digest
}

export function domainOfId(id: ContentId): string | undefined {
  const slash = id.lastIndexOf('/')
  return slash < 0 ? undefined : id.slice(0, slash)
}

/** The longest name of a file has 255 bytes, and the folder's name begins with a mark. */
const MAX_DOMAIN_LENGTH = 254

/** Whether a text can be the name of a domain: a registry's host, with or without a port. */
export function isDomain(text: string): boolean {
  return text.length <= MAX_DOMAIN_LENGTH && /^[a-z0-9.-]+(?::\d{1,5})?$/.test(text)
}
