"""What a network is made of, in numbers: parameters, multiply-adds, shapes; published facts and their verification."""
