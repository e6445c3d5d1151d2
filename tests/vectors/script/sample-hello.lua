#!/usr/bin/env lua
local function greet(name) print("hello, " .. name) end
greet("lua")
return true
