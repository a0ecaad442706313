import { expect, test } from 'vitest'
import { AppError } from '#shared/errors/app-error.ts'
import { runGantry } from '#test/support/run-gantry.ts'
import { parseSftpUrl } from './sftp-url.ts'

test.each([
  ['sftp://files1/srv/web', { server: { host: 'files1' }, path: '/srv/web' }],
  [
    'SFTP://root@files1:2222/srv/web/',
    { server: { host: 'files1', user: 'root', port: 2222 }, path: '/srv/web' },
  ],
  ['sftp://[2001:db8::1]:22/a', { server: { host: '2001:db8::1', port: 22 }, path: '/a' }],
  [
    'sftp://dom%40me@h/web%20server/100%25?#',
    { server: { host: 'h', user: 'dom@me' }, path: '/web server/100%?#' },
  ],
  ['sftp://h/~/templates/web', { server: { host: 'h' }, path: 'templates/web' }],
  ['sftp://h/~', { server: { host: 'h' }, path: '.' }],
  ['sftp://h/~other/web', { server: { host: 'h' }, path: '/~other/web' }],
  ['sftp://h:22/web%402x', { server: { host: 'h', port: 22 }, path: '/web@2x' }],
  ['sftp://me@h:22/web@2x', { server: { host: 'h', port: 22, user: 'me' }, path: '/web@2x' }],
  ['sftp://h//srv/./web', { server: { host: 'h' }, path: '/srv/web' }],
])('%s', (text, place) => {
  expect(parseSftpUrl(text)).toEqual(place)
})

test.each(['./web', '/srv/web', 'C:\\vms\\web', 'sftp:/h/a', 'kvm1:/srv/web', './sftp://h/a'])(
  '%s is a path of this computer',
  (text) => {
    expect(parseSftpUrl(text)).toBeUndefined()
  },
)

test.each([
  ['https://files1/web.ova', /not read over "https"/],
  ['sftp://', /not the address/],
  ['sftp:///srv/web', /not the address/],
  ['sftp://files1', /no file or folder/],
  ['sftp://files1/', /no file or folder/],
  ['sftp://h:0/a', /not the address/],
  ['sftp://-oProxyCommand=id/a', /not the address/],
  ['sftp://h;id/a', /not the address/],
  ['sftp://h/100%', /"%"/],
  ['sftp://h/a%00b', /no file or folder/],
  ['sftp://root:hunter2@h/a', /password does not belong/],
  ['sftp://root:hunter2/more@h/a', /password does not belong/],
  ['sftp://root:12/hunter2@h/a', /password does not belong/],
  ['sftp://root:12/3/hunter2%@h/a', /password does not belong/],
  ['sftp://root:hunter2/a', /not the address/],
])('%s is refused', (text, words) => {
  const refusal = (): unknown => parseSftpUrl(text)
  expect(refusal).toThrow(AppError)
  expect(refusal).toThrow(words)
  expect(refusal).not.toThrow(/hunter2/)
})

const stage = ['stage', '--host', 'kvm1', '--to', 'san1/vol1/web', '--memory', '1G']
test.each([
  ['a login without a server', ['--image', 'a.raw', '--identity', 'key'], /--identity means nothing/],
  ['images of two servers', ['--image', 'sftp://one/a.raw', 'sftp://two/b.raw'], /more than one place/],
  ['a password in the address', ['--image', 'sftp://root:hunter2@one/a.raw'], /password does not belong/],
])('stage refuses %s', async (_what, source, words) => {
  const { exitCode, err } = await runGantry([...stage, ...source])
  expect({ exitCode, err }).toEqual({ exitCode: 2, err: expect.stringMatching(words) })
  expect(err).not.toContain('hunter2')
})
