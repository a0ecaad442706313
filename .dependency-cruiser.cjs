/** Who may import whom; docs/adr/0002 says why. The check also asserts how many modules were read. */
const room = (name, from, allowed) => ({
  name,
  severity: 'error',
  from: { path: from, pathNot: '\\.test\\.tsx?$' },
  to: { pathNot: allowed },
})
const shared = '^src-shared'
const node =
  '^(node:)?(assert|async_hooks|buffer|child_process|crypto|events|fs|fs/promises|module|net|os|path|path/posix|process|readline|stream|stream/promises|timers|timers/promises|tty|url|util|worker_threads|zlib)$'
const lib = (names) => `(^|/)node_modules/(@types/)?(${names})(/|$)`

module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    room('shared-is-pure', '^src-shared', [shared, lib('zod')]),
    room('preload', '^src-preload', ['^src-preload', '^src-shared/contract', lib('electron')]),
    {
      name: 'renderer-not-main',
      severity: 'error',
      from: { path: '^src-renderer' },
      to: { path: '^src-(main|preload)' },
    },
    {
      name: 'main-not-renderer',
      severity: 'error',
      from: { path: '^src-main' },
      to: { path: '^src-(renderer|preload)' },
    },
    {
      name: 'components-are-presentational',
      severity: 'error',
      from: { path: '^src-renderer/components' },
      to: { path: '^src-renderer/(api|app|features)' },
    },
    {
      name: 'features-do-not-meet',
      severity: 'error',
      from: { path: '^src-renderer/features/([^/]+)/' },
      to: { path: '^src-renderer/features/([^/]+)/', pathNot: '^src-renderer/features/$1/' },
    },
    {
      name: 'only-electron-knows-electron',
      severity: 'error',
      from: { path: '^src-(main|shared|renderer)', pathNot: '^src-main/electron' },
      to: { path: lib('electron') },
    },
    {
      name: 'only-transports-know-ssh2',
      severity: 'error',
      from: { path: '^src', pathNot: '^src-main/transports' },
      to: { path: lib('ssh2') },
    },
    {
      name: 'only-store-knows-sqlite',
      severity: 'error',
      from: { path: '^src', pathNot: '^src-main/store' },
      to: { path: lib('better-sqlite3') },
    },
    room('protocols', '^src-main/protocols', [
      '^src-main/protocols',
      shared,
      '^(node:)?(buffer|crypto)$',
      lib('zod|fast-xml-parser'),
    ]),
    room('transports', '^src-main/transports', [
      '^src-main/(transports|protocols)',
      shared,
      node,
      lib('ssh2|ssh-config|cpu-features|@node-rs/crc32|koffi'),
    ]),
    room('drivers', '^src-main/drivers', [
      '^src-main/(drivers|transports|protocols)',
      shared,
      node,
      lib('zod|fast-xml-parser'),
    ]),
    {
      name: 'drivers-do-not-meet',
      severity: 'error',
      from: { path: '^src-main/drivers/(arrays|hosts)/([^/]+)/' },
      to: { path: '^src-main/drivers/(arrays|hosts)/([^/]+)/', pathNot: '^src-main/drivers/$1/$2/' },
    },
    room('store', '^src-main/store', [
      '^src-main/store',
      '^src-main/jobs/(journal|step|kinds/records)\\.ts$',
      '^src-main/drivers/arrays/contract\\.ts$',
      shared,
      node,
      lib('better-sqlite3|zod'),
    ]),
    room('jobs', '^src-main/jobs', [
      '^src-main/(jobs|units|protocols)',
      '^src-main/transports/(block/block-device|local/file-errors)\\.ts$',
      '^src-main/drivers/[^/]+\\.ts$',
      '^src-main/drivers/[^/]+/contract\\.ts$',
      shared,
      node,
      lib('zod'),
    ]),
    room('units', '^src-main/units', [
      '^src-main/(units|protocols)',
      '^src-main/transports/block/block-device\\.ts$',
      shared,
      node,
    ]),
    room('services', '^src-main/services', [
      '^src-main/(services|jobs|units|protocols)',
      '^src-main/drivers/[^/]+\\.ts$',
      '^src-main/drivers/[^/]+/contract\\.ts$',
      '^src-main/store/store\\.ts$',
      '^src-main/transports/block/block-device\\.ts$',
      '^src-main/transports/(local/(durable|file-errors)|shell/files|ssh/contract)\\.ts$',
      shared,
      node,
      lib('zod'),
    ]),
    room('api', '^src-main/api', ['^src-main/(api|services)', shared, lib('zod')]),
    {
      name: 'ways-in',
      severity: 'error',
      from: { path: '^src-main/(electron|server|cli)' },
      to: { path: '^src-main/(drivers|store|jobs|services|units|transports|protocols)' },
    },
    {
      name: 'app-not-ways-in',
      severity: 'error',
      from: { path: '^src-main/app' },
      to: { path: '^src-main/(electron|server|cli)' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      conditionNames: ['import', 'node', 'default', 'types'],
      exportsFields: ['exports'],
    },
  },
}
