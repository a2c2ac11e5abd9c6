import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The session of this proxy's last life, and a place to keep the next one's. Its id is a secret. */
export async function keptSession(folder: string): Promise<{ id: string | undefined; keep: (id: string) => void }> {
  const path = join(folder, 'session')
  const text = await readFile(path, 'utf8').catch(() => '')
  return {
    id: /^[\w-]{1,128}$/.test(text.trim()) ? text.trim() : undefined,
    // If it cannot be kept, the next life announces its copies again: slower, and nothing else.
    keep: (id) => void writeFile(path, `${id}\n`, { mode: 0o600 }).catch(() => undefined),
  }
}
