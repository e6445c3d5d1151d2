all: hello

hello:
	@echo hello from make
