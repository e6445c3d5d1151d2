#!/usr/bin/env node
'use strict';

console.log(`hello from node, ${1 << 2}`);
