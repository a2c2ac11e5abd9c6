import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Writes credentials in the format of Docker's `config.json` and returns the file's path, for `--authfile`.
 *
 * podman and skopeo send `--creds` to the host of the reference only; a mirror gets what this file has for its
 * `host:port`.
 *
 * @param credentials `user:password` by `host:port`
 */
export async function writeAuthFile(folder: string, credentials: Readonly<Record<string, string>>): Promise<string> {
  const path = join(folder, 'auth.json')
  const auths = Object.fromEntries(
    Object.entries(credentials).map(([host, user]) => [host, { auth: Buffer.from(user).toString('base64') }]),
  )
  await writeFile(path, JSON.stringify({ auths }))
  return path
}
