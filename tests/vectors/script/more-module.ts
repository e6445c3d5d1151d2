export const grüße: string = 'hello';
