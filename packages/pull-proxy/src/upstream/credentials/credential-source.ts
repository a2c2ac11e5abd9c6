import type { Repository } from '../../oci/repository.ts'

/** What proves to an upstream who asks. */
export type Credentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** An OAuth2 refresh token, which a token server exchanges for access tokens. */
  | { readonly kind: 'identityToken'; readonly token: string; readonly username?: string | undefined }

export interface CredentialRequest {
  readonly signal: AbortSignal
  /** What is to be read: some files have credentials for parts of a registry. */
  readonly repository?: Repository | undefined
  /** Asks again rather than take what is remembered: the last ones were refused. Default false. */
  readonly fresh?: boolean | undefined
}

/** Where the credentials of one upstream come from. */
export interface CredentialSource {
  /**
   * The credentials as they are now; undefined when there are none for this upstream.
   *
   * @throws {OciError} `UNKNOWN` when they cannot be had. It names the file or the program, and never shows a secret
   */
  get(request: CredentialRequest): Promise<Credentials | undefined>
}

/** The value of an `Authorization` header (RFC 7617). */
export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}
