function Get-Answer {
    42
}

Export-ModuleMember -Function Get-Answer