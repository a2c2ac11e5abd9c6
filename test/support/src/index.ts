export { writeAuthFile } from './auth-file.ts'
export type { BearerAuth, BearerAuthOptions } from './bearer-auth.ts'
export { type Availability, findBinary, isRoot, requireBinaries, requireRoot } from './binaries.ts'
export {
  type Buildah,
  type BuildahOptions,
  type BuildahPull,
  type BuildahPullOptions,
  createBuildah,
} from './buildah.ts'
export type { CapturedOutput } from './captured-output.ts'
export { createCertificate, type SelfSignedCertificate } from './certificate.ts'
export { type ProcessExit, type RunningProcess, startProcess, type StartProcessOptions } from './child-process.ts'
export {
  type Containerd,
  type ContainerdOptions,
  type ContainerdPull,
  type ContainerdPullOptions,
  startContainerd,
} from './containerd.ts'
export { type CountingProxyOptions, startCountingProxy } from './counting-proxy.ts'
export { type Descriptor, digestOf, digestOfFile, hexOf, type MediaTypes } from './descriptor.ts'
export { type DockerRegistry, type DockerRegistryOptions, startDockerRegistry } from './docker-registry.ts'
export type { DockerRegistryAuth } from './docker-registry-auth.ts'
export {
  type Dockerd,
  type DockerdOptions,
  type DockerdPull,
  type DockerdPullOptions,
  startDockerd,
} from './dockerd.ts'
export type { Fault, FaultHook, FaultRequest } from './fault.ts'
export { freePort } from './free-port.ts'
export { type NamespaceHosts, unroutableUrl, writeHostsFolder } from './hosts-toml.ts'
export { httpGet, type HttpGetOptions, type HttpGetResult } from './http-get.ts'
export { createImage, type CreateImageOptions, type Image, type ImageFile } from './image.ts'
export { createLayer, type CreateLayerOptions, type Layer } from './layer.ts'
export {
  type LayerlockOptions,
  type LayerlockProcess,
  type LockServerOptions,
  type LogLine,
  type ProxyOptions,
  type ProxyProcess,
  type ProxyStatus,
  startLockServer,
  startProxy,
} from './layerlock-process.ts'
export { createPodman, type Podman, type PodmanOptions, type PodmanPull, type PodmanPullOptions } from './podman.ts'
export { createRandom, type Random } from './random.ts'
export { RateLimit } from './rate-limit.ts'
export type { RecordedServer, TlsOptions, TrafficOptions } from './recorded-server.ts'
export { type RegistryMirrors, writeRegistriesConf, writeRegistriesDropIn } from './registries-conf.ts'
export type { RegistryContents } from './registry-contents.ts'
export { type RegistryOptions, type RegistryServer, startRegistryServer } from './registry-server.ts'
export type { RequestFilter, RequestLog, RequestRecord } from './request-log.ts'
export type { RequestKind } from './request-target.ts'
export { basicAuthorization, parseBasicAuthorization, type RegistryUser, type RegistryUsers } from './registry-users.ts'
export { createRootFilesystemImage, type CreateRootFilesystemImageOptions } from './root-filesystem.ts'
export { type CommandOutput, runCommand, type RunCommandOptions } from './run-command.ts'
export { skopeoPull, type SkopeoPull, type SkopeoPullOptions } from './skopeo.ts'
export { temporaryFolder, type TemporaryFolder } from './temporary-folder.ts'
export {
  type IssuedToken,
  startTokenServer,
  type TokenAccess,
  type TokenServer,
  type TokenServerOptions,
} from './token-server.ts'
export { waitFor, type WaitForOptions } from './wait-for.ts'
