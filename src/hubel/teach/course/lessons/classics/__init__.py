"""The lesson `classics`: LeNet-5, AlexNet and VGG."""
