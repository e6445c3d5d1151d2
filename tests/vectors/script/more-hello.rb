#!/usr/bin/env ruby
# frozen_string_literal: true

puts <<~TEXT
  hello from ruby
TEXT
