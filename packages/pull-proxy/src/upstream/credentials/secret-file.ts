import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { OciError } from '../../oci/oci-error.ts'

/** Far more than any password or token has. */
const MAX_SECRET_BYTES = 64 * 1024

/** Reads a file that holds one secret; a newline at its end does not count. @throws {OciError} `UNKNOWN` */
export async function readSecretFile(path: string, signal: AbortSignal): Promise<string> {
  const secret = (await readCapped(path, MAX_SECRET_BYTES, signal)).replace(/\r?\n$/, '')
  if (secret === '') throw new OciError('UNKNOWN', `${path} is empty: it should hold a secret`)
  return secret
}

/**
 * Reads a text of no more than `maxBytes`.
 *
 * @throws {OciError} `UNKNOWN` with the path and the reason, without anything of what the file holds
 */
export async function readCapped(path: string, maxBytes: number, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted()
  try {
    // Not readFile(): that takes however much there is. Without O_NONBLOCK a named pipe would never open.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stats = await file.stat()
    if (!stats.isFile()) throw new OciError('UNKNOWN', `${path} is no file`)
    const buffer = Buffer.alloc(maxBytes + 1)
    let size = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, size, buffer.length - size)
      size += bytesRead
      if (size > maxBytes) throw new OciError('UNKNOWN', `${path} has more than ${maxBytes} bytes`)
      if (bytesRead === 0) return buffer.toString('utf8', 0, size)
    }
  } catch (cause) {
    if (cause instanceof OciError) throw cause
    throw new OciError('UNKNOWN', `${path} cannot be read: ${(cause as NodeJS.ErrnoException).code}`, { cause })
  }
}
