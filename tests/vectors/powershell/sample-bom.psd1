@{
    ModuleVersion = '1.0'
    Author = 'Zoë Müller'
    Description = 'naïve “quotes” – and dashes'
}
