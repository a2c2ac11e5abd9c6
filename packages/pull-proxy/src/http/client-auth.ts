import type { ServerResponse } from 'node:http'
import { OciError } from '../oci/oci-error.ts'
import { PasswordCheck } from './password-check.ts'
import { parseUsers } from './users.ts'

/**
 * HTTP basic authentication (RFC 7617) of the proxy's clients. Each pair of user and password is compared once, however
 * many requests have it; what was found is remembered for a time, without the password.
 */
export class ClientAuth {
  /** New with the users, so that nothing found before counts after they were replaced. */
  #passwords: PasswordCheck

  /** @param lines of an htpasswd file @throws {RangeError} naming the line, never what is in it */
  constructor(lines: readonly string[]) {
    this.#passwords = new PasswordCheck(parseUsers(lines))
  }

  /** These users count from the next request on, and no others. @throws {RangeError} as the constructor does */
  replaceUsers(lines: readonly string[]): void {
    this.#passwords = new PasswordCheck(parseUsers(lines))
  }

  /**
   * Resolves for a request of a known user.
   *
   * @throws {OciError} `UNAUTHORIZED`, with the challenge among the response's headers; `TOOMANYREQUESTS` when too many
   *   others wait to be let in
   */
  async check(response: ServerResponse): Promise<void> {
    const { authorization } = response.req.headers
    if (authorization !== undefined && (await this.#passwords.accepts(authorization))) return
    response.setHeader('www-authenticate', 'Basic realm="layerlock", charset="UTF-8"')
    throw new OciError('UNAUTHORIZED', 'a user and a password of this pull proxy are needed')
  }
}
