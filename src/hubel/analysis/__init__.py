"""Parameters, multiply-adds, shapes and receptive fields of networks; published facts and their verification."""
