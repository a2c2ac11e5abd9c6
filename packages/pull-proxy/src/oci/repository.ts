import { OciError } from './oci-error.ts'

declare const repositoryBrand: unique symbol
/** A checked repository name such as `library/alpine`. Only {@link parseRepository} makes one. */
export type Repository = string & { readonly [repositoryBrand]: true }

/** The distribution-spec's grammar of `<name>` ("Pulling manifests"). */
const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
/** What common registries and clients bear. */
const MAX_LENGTH = 255

/** @throws {OciError} `NAME_INVALID` */
export function parseRepository(text: string): Repository {
  if (text.length <= MAX_LENGTH && NAME.test(text)) return text as Repository
  throw new OciError('NAME_INVALID', `${JSON.stringify(text.slice(0, 300))} is not a repository name`)
}
