// Asks npm's own semver which versions satisfy which ranges, and writes table.json. In an empty folder:
//
//   npm install semver@7.8.6 semver-with-tests@npm:semver@5.1.1
//   NODE_PATH=$PWD/node_modules node PROJECT/tests/unit/npm_ranges/make_table.cjs
//
// The ranges and versions of node-semver's own tests are taken from 5.1.1, the last release that ships them; what is right
// is answered by the current release. Both are under the ISC licence, see README.md.
'use strict'

const fs = require('fs')
const path = require('path')
const semver = require('semver')

const published = fs.readFileSync(require.resolve('semver-with-tests/test/index.js'), 'utf8')

// The literal list behind a heading of the published tests.
function listOf (heading) {
  const from = published.indexOf('[[', published.indexOf(heading))
  return new Function(`return ${published.slice(from, published.indexOf('].forEach', from) + 1)}`)()
}

const fixtures = ['\\nrange tests', '\\nnegative range tests'].flatMap(listOf)
const compared = ['\\ncomparison tests', '\\nequality tests'].flatMap(listOf)

const partial = ['0', '1', '0.0', '0.1', '1.0', '1.2', '0.0.0', '0.0.3', '0.2.3', '1.2.0', '1.2.3', '1.x', '1.2.x', 'x', '*',
  '1.*', '1.2.*', '1.X.X', '0.x', '1.2.3-0', '1.2.3-rc.1', '0.0.3-beta', '0.2.3-beta.2', '2.0.0-alpha', 'v1.2', 'v1.2.3']
const operators = ['', '=', '>', '>=', '<', '<=', '^', '~', '~>']
const hyphens = ['0.1', '1', '1.2', '1.2.3', '1.2.3-rc.1', '2.0.0', '2', 'x', '1.x', 'v2.1']
const own = ['>=1.2 <2', '>=1.2 <2 || 3.x', '^1.4 || ^2.1 || 0.2.x', '1.2.3||2', '1.x||>=2.5.0||5.0.0 - 7.2.3', ' ^1.2.3 ', '^ 1.2.3',
  '> =1.2.3', '>= 1.2.3  <  2', '>1 <1', '>2 <1', '<0.0.0', '>*', '<*', '<=*', '1.2.3 2.0.0', '||1.2.3', '1.2.3 ||', '^1 ~1.2',
  '^1 >1.2.3 <=1.4.0 || 2.0.0-alpha', '>=1.2.3-rc.1 <1.2.4', '>=1.2.3-rc.1 <2.0.0-0', '^2.0.0-alpha.1', '*-pre', '1.2.3-x', '1.2.x-rc',
  '1.x.3', '^1.x.3', '~1.x.3', '1.x.3 - 2', '1 - 2.x.3', '=1.2.3 - 2', '1.2.3 - =2.0.0', '=1.2 - =2', '||1.2.3-rc.1', 'x || 1.2.3-rc.1', '>=0.0.0 || 1.2.3-rc.1', '>=0.0.0-0 || 5', '^9007199254740991', 'x.1', '*.1', 'latest', 'v', '1.2.3.4', '01.2.3', '1.02', '1.2.3-01', '1.2.3-', '-1.2.3', '=>1.2.3', '><1.2', '!1.2', '^^1.2',
  '^>1.2', '~=1.2', '1.2,1.3', '>=1.2, <2', '1.2 -2', '1.2- 2', '1.2 - 2 - 3', '1 - 2 || 4', '1 - 2 3', '&& 1', '|', '1|2', 'v1 || v2',
  '=v1.2.3', '>=v1.2', '>=V1.2', 'V1.2.3', '1.2.3+build', '1.2+build', '^1.2.3-rc.1+build', '9007199254740991.0.0',
  '9007199254740992.0.0', '>=9007199254740991', '1.2.3-rc.1.', '1..2', '1.2.', '.1', '1.2.3 -', 'a.b.c', '^a', '>=', '<', '^', '~', '=', 'X', '==1.2.3', '>==1.2.3', '>= =1.2.3', '>==1.2',
  '^0', '^0.0', '^0.x', '~0', '1.2.3-rc-1', '>1.2.3-rc.1', '<1.2.3-rc.1', '<=1.2.3-rc.1', '>=1.2.3-rc.1 || 0.x', '<2 >1.2.3-rc.1']

const ranges = [...new Set([
  ...fixtures.map(each => each[0]),
  ...operators.flatMap(operator => partial.map(each => operator + each)),
  ...hyphens.flatMap(low => hyphens.map(high => `${low} - ${high}`)),
  ...own
])]

const tags = ['0.0.0-0', '0.0.0', '0.0.1', '0.0.3-beta', '0.0.3', '0.0.4-0', '0.0.4', '0.1.0', '0.2.3-beta.2', '0.2.3', '0.2.4', '0.3.0-0', '0.3.0', '1.0.0-alpha',
  '1.0.0', '1.1.9', '1.2.0-0', '1.2.0', '1.2.2', '1.2.3-0', '1.2.3-rc', '1.2.3-rc.1', '1.2.3-rc.1.1', '1.2.3-rc.2', '1.2.3-rc.10', '1.2.3-rc1', '1.2.3-x', '1.2.3-rc-1',
  '1.2.3', '1.2.4-0', '1.2.4', '1.3.0-0', '1.3.0-beta', '1.3.0', '1.4.0', '1.9999.9999', '2.0.0-0', '2.0.0-alpha', '2.0.0-alpha.1', '2.0.0', '2.0.1', '2.1.0-rc', '2.1.0', '2.2.0-0', '2.2.0',
  '3.0.0-0', '3.0.0', '4.1.2', '9007199254740991.0.0']
const versions = [...new Set([
  ...tags,
  ...fixtures.map(each => each[1]),
  ...compared.flatMap(each => [each[0], each[1]])
])].filter(each => semver.valid(each) === each)

// One character per version: + satisfied, - not; null for a range that is none.
function answers (range, options) {
  return semver.validRange(range, options) === null
    ? null
    : versions.map(each => semver.satisfies(each, range, options) ? '+' : '-').join('')
}

versions.sort((a, b) => semver.compare(a, b))
const rows = ranges.map(range => JSON.stringify([range, answers(range), answers(range, { includePrerelease: true })]))
const text = `{
"made_with": "semver ${require('semver/package.json').version}, ISC licence",
"versions": ${JSON.stringify(versions)},
"ranges": [
${rows.join(',\n')}
]
}
`
fs.writeFileSync(path.join(__dirname, 'table.json'), text)
