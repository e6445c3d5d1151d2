# The smallest thing that is a kernel module by its form: no code, a .modinfo, and the section that names it.
	.section .modinfo,"a"
	.asciz "license=GPL"
	.asciz "name=tiny"
	.asciz "vermagic=6.1.0 SMP preempt mod_unload modversions "
	.section .gnu.linkonce.this_module,"aw"
	.zero 64
	.text
	.globl init_module
init_module:
	xorl %eax, %eax
	ret
