import type { Key } from '@layerlock/protocol'
import type { SessionRef } from '../core/record.ts'

/** Which keys a session may be part of, so that its end need not look at all of them. May name too many, never too few. */
export class SessionIndex {
  readonly #keys = new Map<SessionRef, Set<Key>>()

  add(session: SessionRef, key: Key): void {
    const keys = this.#keys.get(session)
    if (keys === undefined) this.#keys.set(session, new Set([key]))
    else keys.add(key)
  }

  remove(session: SessionRef, key: Key): void {
    const keys = this.#keys.get(session)
    if (keys?.delete(key) === true && keys.size === 0) this.#keys.delete(session)
  }

  keysOf(session: SessionRef): readonly Key[] {
    return [...(this.#keys.get(session) ?? [])]
  }
}
