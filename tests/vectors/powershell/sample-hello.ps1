# Says hello to whoever is named.
param([string] $Name = 'world')

Write-Output "Hello, $Name."
