import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDigest } from '../oci/digest.ts'
import type { TagTarget } from '../upstream/registry-client.ts'

/** What a tag named when it was resolved last, and how long ago that is, in milliseconds. */
export interface LastKnown {
  readonly target: TagTarget
  readonly ageMs: number
}

/**
 * What the tags named that this node served last, one small file each, so that they can be served when upstream is away,
 * after a restart too. Ages are by the wall clock: of a clock that was set back they are 0.
 */
export class TagLedger {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Opens the ledger in a folder, which is made if need be. What is older than anyone would be served is removed. */
  static async open(folder: string, maxAgeMs: number): Promise<TagLedger> {
    await mkdir(folder, { recursive: true })
    const oldestMs = Date.now() - maxAgeMs
    for (const name of await readdir(folder)) {
      const path = join(folder, name)
      if (!name.endsWith('.json') || (await stat(path)).mtimeMs < oldestMs)
        await rm(path, { force: true, recursive: true })
    }
    return new TagLedger(folder)
  }

  /** @param resolvedAtMs when upstream said so, as `Date.now()`. @throws when it cannot be written */
  async record(name: string, target: TagTarget, resolvedAtMs: number): Promise<void> {
    const path = this.#pathOf(name)
    const temporary = `${path}.${randomUUID()}`
    const { digest, size, mediaType } = target
    try {
      await writeFile(temporary, JSON.stringify({ name, digest, size, mediaType, resolvedAtMs }), {
        flag: 'wx',
      })
      await rename(temporary, path)
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
  }

  /** Undefined where nothing is known, or the file is damaged. */
  async lookUp(name: string): Promise<LastKnown | undefined> {
    try {
      const entry = JSON.parse(await readFile(this.#pathOf(name), 'utf8')) as Record<string, unknown>
      const target = readTarget(entry)
      const { resolvedAtMs } = entry
      if (target === undefined || entry['name'] !== name || typeof resolvedAtMs !== 'number') return undefined
      return { target, ageMs: Math.max(0, Date.now() - resolvedAtMs) }
    } catch {
      return undefined
    }
  }

  #pathOf(name: string): string {
    return join(this.#folder, `${createHash('sha256').update(name).digest('hex')}.json`)
  }
}

/** Reads what a tag names from something that was written elsewhere. */
export function readTarget(value: unknown): TagTarget | undefined {
  const { digest, size, mediaType } = (value ?? {}) as Partial<Record<keyof TagTarget, unknown>>
  if (typeof digest !== 'string' || !isDigest(digest)) return undefined
  if (typeof size !== 'number' || typeof mediaType !== 'string') return undefined
  return { digest, size, mediaType }
}
