import type { Descriptor } from './descriptor.ts'
import type { Image, ImageFile } from './image.ts'

/** A manifest that refers to another one, as the referrers API lists it. */
export interface Referrer extends Descriptor {
  readonly artifactType: string
}

/** What a registry has, by repository. */
export class RegistryContents {
  readonly #repositories = new Map<string, Repository>()

  /** Adds everything of an image, and the tag for its top. */
  addImage(image: Image, { repository, tag }: { readonly repository: string; readonly tag: string }): void {
    for (const manifest of image.manifests) this.#of(repository).manifests.set(manifest.digest, manifest)
    for (const blob of image.blobs) this.addBlob(repository, blob)
    this.setTag(repository, tag, image.top.digest)
  }

  addBlob(repository: string, blob: ImageFile): void {
    this.#of(repository).blobs.set(blob.digest, blob)
  }

  /** Lists a manifest as one whose `subject` is another one; that manifest itself need not be there. */
  addReferrer(repository: string, subject: string, referrer: Referrer): void {
    const { referrers } = this.#of(repository)
    referrers.set(subject, [...(referrers.get(subject) ?? []), referrer])
  }

  /** Moves a tag, or sets it for the first time. */
  setTag(repository: string, tag: string, digest: string): void {
    this.#of(repository).tags.set(tag, digest)
  }

  hasRepository(repository: string): boolean {
    return this.#repositories.has(repository)
  }

  tagsOf(repository: string): string[] {
    return [...(this.#repositories.get(repository)?.tags.keys() ?? [])].toSorted()
  }

  /** In the order in which they were added. */
  referrersOf(repository: string, subject: string): readonly Referrer[] {
    return this.#repositories.get(repository)?.referrers.get(subject) ?? []
  }

  /** By tag or by digest. */
  manifest(repository: string, reference: string): ImageFile | undefined {
    const found = this.#repositories.get(repository)
    return found?.manifests.get(found.tags.get(reference) ?? reference)
  }

  blob(repository: string, digest: string): ImageFile | undefined {
    return this.#repositories.get(repository)?.blobs.get(digest)
  }

  /** In whatever repository: a second host for storage knows none. */
  storedBlob(digest: string): ImageFile | undefined {
    return [...this.#repositories.values()].map(({ blobs }) => blobs.get(digest)).find((blob) => blob !== undefined)
  }

  #of(name: string): Repository {
    const known = this.#repositories.get(name)
    if (known !== undefined) return known
    const repository: Repository = { tags: new Map(), manifests: new Map(), blobs: new Map(), referrers: new Map() }
    this.#repositories.set(name, repository)
    return repository
  }
}

interface Repository {
  readonly tags: Map<string, string>
  readonly manifests: Map<string, ImageFile>
  readonly blobs: Map<string, ImageFile>
  /** By the digest of their subject. */
  readonly referrers: Map<string, readonly Referrer[]>
}
